# SPDX-License-Identifier: Apache-2.0
"""A picture of the object that is to be found: what a run compares one view with, and tells a teacher of views."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from pgc.cameras import Camera
from pgc.errors import ConfigError
from pgc.guidance.base import Conditions, Guidance, ViewTeacher
from pgc.guidance.resizing import resize_bilinear
from pgc.optimization.step_parts import Picture, View
from pgc.optimization.views.shown_controls import camera_poses

__all__ = ["ReferenceView"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceView:
    """One picture of an object, and where it was taken from."""

    color: Float[Tensor, "1 3 s s"]
    """sRGB in [0, 1], not multiplied by what is covered."""
    covered: Float[Tensor, "1 1 s s"]
    """Where the object is, in [0, 1]."""
    camera: Camera
    color_weight: float = 1.0
    """Of the difference in colour in ∂L/∂x; 0: colours are not compared."""
    mask_weight: float = 1.0
    """Of the difference in what is covered."""
    on_white: Float[Tensor, "1 3 s s"] | None = None
    """The picture as teachers see it; made here."""

    def __post_init__(self) -> None:
        for name in ("color_weight", "mask_weight"):
            if not (getattr(self, name) >= 0.0 and math.isfinite(getattr(self, name))):
                raise ConfigError(f"reference_view.{name} is {getattr(self, name)}; it must be 0 or more.")
        # Once: a teacher knows by its identity that it has seen it.
        object.__setattr__(self, "on_white", self.color * self.covered + (1.0 - self.covered))

    def told(self, conditions: Conditions, guidance: Guidance) -> Conditions:
        """Returns the conditions with the picture and its camera, where the prior looks at them."""
        if not isinstance(guidance, ViewTeacher):
            return conditions
        return replace(conditions, reference=self.on_white, reference_to_world=camera_poses([self.camera])[0])

    def pictures(self, view: View, image: Float[Tensor, "1 3 h w"], covered: Float[Tensor, "1 1 h w"]) -> list[Picture]:
        """Returns what is learnt, rendered from the picture's camera, with what it is to become.

        Colours are compared where the picture shows the object, the outline everywhere: what is beyond it would be
        painted like the background otherwise, and, seen by nobody, stay.

        Args:
            view: of that camera.
            image: composited over the view's background, on the graph.
            covered: what is covered, on the graph; its picture is white on black.
        """
        side = image.shape[-1]
        color, mask = (resize_bilinear(one.to(image), side) for one in (self.color * self.covered, self.covered))
        targets = {
            "reference": (image, color + (1.0 - mask) * image.detach(), self.color_weight),
            "reference mask": (covered.expand(-1, 3, -1, -1), mask.expand(-1, 3, -1, -1), self.mask_weight),
        }
        return [
            Picture(view=view, material={}, image=shown, name=name, target=target, target_weight=weight)
            for name, (shown, target, weight) in targets.items()
            if weight > 0.0
        ]
