# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel offers to show a model of the mesh and of a reference; without Blender."""

from __future__ import annotations

from typing import Any, cast

from ...client import ConditionsSpec, ControlSpec, ReferenceSpec
from ...protocol.specs.models import CONTROLS_OF

__all__ = ["CONTROLS", "CONTROL_SETTINGS", "conditions_of", "shown_by", "wished_controls"]

CONTROLS = ("normal", "edges", "tile", "shuffle")
"""Beside the depth; each has the settings `use_NAME` and `NAME_scale`."""
CONTROL_SETTINGS = tuple(name for kind in CONTROLS for name in (f"use_{kind}", f"{kind}_scale"))


def shown_by(model: str) -> tuple[str, ...]:
    """Returns what a model can be shown; of one that this version does not know, the depth."""
    return CONTROLS_OF.get(model, ("depth",))


def wished_controls(settings: object, model: str, *, has_reference: bool) -> tuple[tuple[str, float], ...]:
    """Returns the controls that are switched on and that the model has, with their strengths; shuffle shows a reference
    and does nothing without.
    """
    there = set(shown_by(model)) - (set() if has_reference else {"shuffle"})
    chosen = [kind for kind in CONTROLS if kind in there and getattr(settings, f"use_{kind}")]
    return tuple((kind, float(getattr(settings, f"{kind}_scale"))) for kind in chosen)


def conditions_of(
    *,
    depth: bool,
    depth_scale: float | None,
    controls: tuple[tuple[str, float], ...],
    reference: ReferenceSpec | None,
) -> ConditionsSpec:
    """Returns what a job says of them: a list only where there is more than the depth."""
    if not controls:
        return ConditionsSpec(depth=depth, depth_scale=depth_scale, reference=reference)
    every = (("depth", 1.0 if depth_scale is None else depth_scale), *controls) if depth else controls
    # The words are those of the protocol, to which a test holds them.
    return ConditionsSpec(
        controls=tuple(ControlSpec(kind=cast("Any", kind), scale=scale) for kind, scale in every), reference=reference
    )
