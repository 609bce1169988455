# SPDX-License-Identifier: GPL-3.0-or-later
"""What a texture grows out of, and what it is made of as it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..choices import need_light

__all__ = ["BEGINNINGS", "begins_as_usual", "grid_objection", "wished_warm_start"]

BEGINNINGS: Mapping[str, tuple[object, ...]] = {
    "warm_start": ("preset", "on"),
    "loss": ("preset",),
    "timesteps": ("preset",),
    "noise": ("preset",),
    "texture_field": ("texels",),
    "use_latent_weight": (False,),
}
"""The panel's settings that decide how a job begins, each with what leaves the model its usual way."""


def begins_as_usual(settings: Mapping[str, object]) -> bool:
    """Says whether a job with these settings of the panel begins with views that are painted together. What is missing
    is as usual."""
    return all(name not in settings or settings[name] in usual for name, usual in BEGINNINGS.items())


def grid_objection(*, maps: Iterable[str], target: str, begins: bool) -> str:
    """Returns why a hash grid cannot be taken; "": it can.

    Args:
        begins: whether the texture grows out of another one, or keeps some of it.
    """
    if need_light(maps):
        return "A hash grid is for base color alone"
    if begins:
        return "A hash grid starts anew and keeps nothing"
    return "" if target in ("object", "objects") else "A hash grid is for whole objects"


def wished_warm_start(choice: str, *, grid: bool) -> bool | None:
    """Returns what a job says of a warm start; None where it is left to the model, and where there can be none."""
    return None if choice == "preset" or grid else choice == "on"
