# SPDX-License-Identifier: Apache-2.0
"""From the numbers to a word: can this mesh be textured in its UVs, and if not, what helps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .measure import UvMeasure

__all__ = ["UvJudgement", "UvRemedy", "UvVerdict", "judge_uvs"]

_SHARED = 0.05
"""Of the surface. Below it the artist's UVs are worth more than what a slip in them costs."""
_COLLAPSED = 0.01
_WORTH_TELLING = 0.005
_LEAST_USED = 0.002
"""Of the texture: 46 x 46 texels of 1024 x 1024 for the whole mesh."""
_LEAST_KEPT = 0.25
"""Of the surface: with less in usable UVs there is no layout to add to."""
_LEAST_KEPT_OF_COLLAPSED = 0.5
"""The same where all faces have UVs: whoever projected them along one axis made no layout."""


class UvVerdict(Enum):
    """What is the matter, the gravest first."""

    NONE = "none"
    TILING = "tiling"
    OVERLAPPING = "overlapping"
    COLLAPSED = "collapsed"
    PARTIAL = "partial"
    STACKED = "stacked"
    GOOD = "good"


class UvRemedy(Enum):
    """What helps against a fault of the UVs."""

    KEEP = "keep"
    FILL = "fill"
    """UVs for the faces that have none (or collapsed ones), beside those of the others."""
    NEW = "new"
    """A new UV map for the whole mesh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UvJudgement:
    """A verdict in words."""

    verdict: UvVerdict
    remedy: UvRemedy
    few_words: str
    """For a panel: five words or so; empty where nothing is the matter."""
    sentence: str
    """For a log: a clause with numbers that begins small and has no full stop; empty where nothing is the matter."""


def judge_uvs(measure: UvMeasure) -> UvJudgement:
    """Returns the verdict on what `measure_uvs` found."""
    if measure.faces_without == measure.faces:
        return _judged(UvVerdict.NONE, UvRemedy.NEW, "The mesh has no UVs", "the mesh has no UVs")
    repeating = measure.area_tiled + measure.area_crossed
    if repeating > _SHARED and measure.area_tiled >= measure.area_crossed:
        return _judged(
            UvVerdict.TILING,
            UvRemedy.NEW,
            "UVs repeat over the surface",
            f"the UVs repeat the same texels on {_percent(repeating)} of the surface",
        )
    if repeating > _SHARED:
        return _judged(
            UvVerdict.OVERLAPPING,
            UvRemedy.NEW,
            "UVs of different parts overlap",
            f"UVs of different parts overlap on {_percent(repeating)} of the surface",
        )
    return _lacking(measure) or _slight(measure, repeating)


def _lacking(measure: UvMeasure) -> UvJudgement | None:
    """Faces without UVs, or with UVs that hold no texels."""
    if measure.used < _LEAST_USED:
        where = "on the whole mesh" if measure.used == 0.0 else f"on {_percent(measure.used)} of the texture"
        sentence = "the UVs have no area" if measure.used == 0.0 else f"all UVs lie {where}"
        return _judged(UvVerdict.COLLAPSED, UvRemedy.NEW, "UVs have no area", sentence)
    usable = 1.0 - measure.area_without - measure.area_collapsed
    remedy = UvRemedy.FILL if usable >= _LEAST_KEPT else UvRemedy.NEW
    if measure.faces_without > 0:
        sentence = f"{measure.faces_without:,} of {measure.faces:,} triangles have no UVs"
        return _judged(UvVerdict.PARTIAL, remedy, "Some faces have no UVs", sentence)
    if measure.area_collapsed > _COLLAPSED:
        sentence = f"the UVs have no area on {_percent(measure.area_collapsed)} of the surface"
        remedy = UvRemedy.FILL if usable >= _LEAST_KEPT_OF_COLLAPSED else UvRemedy.NEW
        return _judged(UvVerdict.COLLAPSED, remedy, "UVs of some faces collapsed", sentence)
    return None


def _slight(measure: UvMeasure, repeating: float) -> UvJudgement:
    """What a texture can live with, all of it named."""
    stacked, overlapping = measure.area_stacked > _WORTH_TELLING, repeating > _WORTH_TELLING
    parts: list[str] = []
    if stacked:
        share = _percent(measure.area_stacked)
        parts.append(f"parts that are mirrored or stacked share texels on {share} of the surface")
    if overlapping:
        parts.append(f"{'other ' if stacked else ''}UVs overlap on {_percent(repeating)} of the surface")
    verdict = UvVerdict.STACKED if stacked else UvVerdict.GOOD
    return _judged(verdict, UvRemedy.KEEP, "", " and ".join(parts))


def _judged(verdict: UvVerdict, remedy: UvRemedy, few_words: str, sentence: str) -> UvJudgement:
    return UvJudgement(verdict=verdict, remedy=remedy, few_words=few_words, sentence=sentence)


def _percent(share: float) -> str:
    if share < 0.001:
        return "under 0.1%"
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"
