# SPDX-License-Identifier: Apache-2.0
"""The views of a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import FieldError
from ..fields import Strict, check_within
from ..limits import DEFAULT_LIMITS

__all__ = ["CameraRigSpec", "CameraSamplerSpec", "CameraSpec"]


_LARGEST = 1e12
"""Of a matrix's entries: what is beyond would overflow in F32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSpec(Strict):
    """A view: 4x4 matrices, row by row (16 numbers each), OpenGL axes and clip space; aspect is width over height."""

    world_to_camera: tuple[float, ...]
    projection: tuple[float, ...]
    aspect: float = 1.0

    def __post_init__(self) -> None:
        for name in ("world_to_camera", "projection"):
            if len(getattr(self, name)) != 16:
                raise FieldError(name, f"Got {len(getattr(self, name))} numbers; expected 16.")
            for index, value in enumerate(getattr(self, name)):
                check_within(f"{name}[{index}]", value, -_LARGEST, _LARGEST)
        check_within("aspect", self.aspect, 1e-3, 1e3)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRigSpec(Strict):
    """A rig of fixed views."""

    kind: Literal["rig"] = "rig"
    cameras: tuple[CameraSpec, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.cameras) <= DEFAULT_LIMITS.views:
            raise FieldError("cameras", f"Got {len(self.cameras)} cameras; expected 1 to {DEFAULT_LIMITS.views}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSamplerSpec(Strict):
    """Random views: `sphere` from everywhere, `paper` as PGC's section 5.1, `stages` as its code for Stable Diffusion,
    `close-ups` from everywhere and in part of parts."""

    kind: Literal["sampler"] = "sampler"
    sampler: Literal["sphere", "paper", "stages", "close-ups"] = "sphere"
