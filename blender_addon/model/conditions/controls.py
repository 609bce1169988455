# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel offers to show a model of the mesh and of a reference; without Blender."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from ...client import ConditionsSpec, ControlSpec, ReferenceSpec
from ...protocol.specs.models import CONTROLS_OF, READERS

__all__ = ["CONTROLS", "CONTROL_SETTINGS", "WishedControl", "conditions_of", "shown_by", "wished_controls"]
__all__ += ["wished_name"]

CONTROLS = ("normal", "edges", "tile", "shuffle")
"""Beside the depth; each has the settings `use_NAME` and `NAME_scale`."""
CONTROL_SETTINGS = tuple(name for kind in CONTROLS for name in (f"use_{kind}", f"{kind}_scale"))


def shown_by(model: str) -> tuple[str, ...]:
    """Returns what a model can be shown; of one that this version does not know, the depth."""
    return CONTROLS_OF.get(model, ("depth",))


@dataclass(frozen=True, slots=True)
class WishedControl:
    """A ControlNet's kind, its strength, and the server's own one by its name; "": the published one."""

    kind: str
    scale: float
    model: str = ""


def wished_controls(settings: object, model: str, *, has_reference: bool) -> tuple[WishedControl, ...]:
    """Returns the controls that are switched on and that the model has; shuffle shows a reference and does nothing
    without.
    """
    there = set(shown_by(model)) - (set() if has_reference else {"shuffle"})
    chosen = [kind for kind in CONTROLS if kind in there and getattr(settings, f"use_{kind}")]
    return tuple(
        WishedControl(kind, float(getattr(settings, f"{kind}_scale")), wished_name(settings, kind, model))
        for kind in chosen
    )


def wished_name(settings: object, kind: str, model: str) -> str:
    """Returns the name of the server's own ControlNet for a kind; "" for models that take the published ones alone."""
    return str(getattr(settings, f"{kind}_model")).strip() if model in READERS else ""


def conditions_of(
    *,
    depth: bool,
    depth_scale: float | None,
    depth_model: str,
    controls: tuple[WishedControl, ...],
    reference: ReferenceSpec | None,
) -> ConditionsSpec:
    """Returns what a job says of them: a list only where there is more than the depth and the published models."""
    own_depth = depth and bool(depth_model)
    if not controls and not own_depth:
        return ConditionsSpec(depth=depth, depth_scale=depth_scale, reference=reference)
    shape = WishedControl("depth", 1.0 if depth_scale is None else depth_scale, depth_model)
    every = (shape, *controls) if depth else controls
    # The words are those of the protocol, to which a test holds them.
    return ConditionsSpec(
        controls=tuple(ControlSpec(kind=cast("Any", one.kind), scale=one.scale, model=one.model) for one in every),
        reference=reference,
    )
