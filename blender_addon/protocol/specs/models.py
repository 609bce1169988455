# SPDX-License-Identifier: Apache-2.0
"""The priors that a job may name, and what each of ours can be shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..errors import FieldError
from ..fields import Strict, check_text, check_within
from .mesh import TileImage

__all__ = ["CONTROLS_OF", "FLOW_MODELS", "ModelSpec"]

FLOW_MODELS: Final = frozenset({"sd35", "flux", "z-image"})
"""Models that were trained on straight paths from a picture to noise."""
_DEPTH: Final = ("depth", "depth-official")
CONTROLS_OF: Final[dict[str, tuple[str, ...]]] = {
    "pocket": ("depth",),
    "sd15": (*_DEPTH, "normal", "tile", "shuffle", "edges"),
    "sd21": (*_DEPTH, "normal", "edges"),
    "sdxl": (*_DEPTH, "tile", "edges"),
    "oracle": (),
    **dict.fromkeys(FLOW_MODELS, ()),
}
"""What each model of ours can be shown: of the mesh, and `shuffle` of a reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec(Strict):
    """The prior, by a key of WELCOME's models. `oracle` knows `oracle_texture`: for tests and evaluations."""

    model: str = "pocket"
    guidance_scale: float | None = None
    revision: str | None = None
    oracle_texture: tuple[TileImage, ...] | None = None

    def __post_init__(self) -> None:
        allowed = set("abcdefghijklmnopqrstuvwxyz0123456789._-")
        if not 1 <= len(self.model) <= 64 or not allowed.issuperset(self.model):
            raise FieldError("model", "Expected a key of 1 to 64 lower-case letters, digits, dots, dashes or _.")
        check_within("guidance_scale", self.guidance_scale, 0.0, 1000.0)
        check_text("revision", self.revision or "")
