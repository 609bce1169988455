# SPDX-License-Identifier: Apache-2.0
"""How a prior's judgement becomes a texture: its loss, what bounds each pixel's gradient, what it sees of the mesh.

The names are those of the library (`pgc.runs.settings.choices`), to which a test holds them. What a kind has no use for
is refused here, so that no job is taken that fails later, or runs without what was asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from ..arrays import ArrayRef, DType
from ..errors import FieldError
from ..fields import Strict, check_within
from ..limits import DEFAULT_LIMITS
from ..structure import LATER

__all__ = ["ConditionsSpec", "ControlSpec", "DistillationSpec", "ReferenceSpec", "RegulationSpec"]


_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def check_name(name: str, value: str) -> None:
    """Raises FieldError for what the owner of a server cannot have called anything; an empty name is none."""
    if value and not _NAME.fullmatch(value):
        raise FieldError(name, f"Got {value[:64]!r}; expected a name of a-z, digits and . _ -, as the server lists it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationSpec(Strict):
    """How the prior's judgement becomes a gradient; `preset`: what the preset of the prior says."""

    kind: Literal["preset", "sds", "csd", "ssd", "hifa", "bgt", "ism", "sdi", "vsd", "rfds"] = "preset"
    timesteps: Literal["preset", "uniform", "linear", "square_root", "dreamtime"] = field(
        default="preset", metadata={LATER: True}
    )
    noise: Literal["preset", "independent", "surface"] = field(default="preset", metadata={LATER: True})
    weighting: Literal[
        "preset",
        "sigma_squared",
        "constant",
        "sqrt_alpha_sigma_squared",
        "inverse_sigma_squared",
        "noise_to_signal",
    ] = field(default="preset", metadata={LATER: True})
    encoder_gradient: Literal["preset", "exact", "linear"] = field(default="preset", metadata={LATER: True})
    guidance_rescale: float | None = field(default=None, metadata={LATER: True})
    latent_weight: float | None = field(default=None, metadata={LATER: True})
    """Of `hifa`: the gradient through the encoder beside the residual in the image."""

    def __post_init__(self) -> None:
        check_within("guidance_rescale", self.guidance_rescale, 0.0, 1.0)
        check_within("latent_weight", self.latent_weight, 0.0, 1e6)
        if self.guidance_rescale is not None and self.kind in ("csd", "ssd"):
            raise FieldError("guidance_rescale", f"{self.kind} has no guided prediction to rescale; leave it out.")
        if self.latent_weight is not None and self.kind != "hifa":
            raise FieldError("latent_weight", f"It is a weight of hifa, and the kind is {self.kind!r}; say hifa.")
        if self.noise == "surface" and self.kind == "ism":
            raise FieldError("noise", "ism draws no noise that could stay on the surface; leave it out.")
        for name in ("weighting", "encoder_gradient"):
            if getattr(self, name) != "preset" and self.kind == "hifa" and self.latent_weight == 0:
                raise FieldError(name, "It is about the gradient through the encoder, and latent_weight is 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegulationSpec(Strict):
    """What bounds each pixel's gradient; `pgc` is PGC-N with a threshold and a norm (None: the preset's)."""

    kind: Literal["preset", "pgc", "pgc-v", "pngd", "adaptive", "global", "sigmoid", "soft", "none"] = "preset"
    threshold: float | None = None
    norm: Literal["l2", "linf"] | None = None
    quantile: float | None = field(default=None, metadata={LATER: True})
    """Of `adaptive`: the share of the pixels that are left alone."""

    def __post_init__(self) -> None:
        check_within("threshold", self.threshold, 1e-9, 1e9)
        check_within("quantile", self.quantile, 1e-6, 1.0)
        uses = {
            "threshold": self.kind not in ("adaptive", "none"),
            "norm": self.kind in ("preset", "pgc", "pngd", "adaptive"),
            "quantile": self.kind == "adaptive",
        }
        for name, used in uses.items():
            if not used and getattr(self, name) is not None:
                raise FieldError(name, f"The regulation {self.kind!r} has no {name}; leave it out.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSpec(Strict):
    """A picture that a ControlNet is shown, from `start` to `end` of the run, or of all timesteps; that of `shuffle` is
    the reference, that of `light` (since 1.2) the light on the mesh, all others are of the mesh.
    """

    kind: Literal["depth", "depth-official", "normal", "tile", "shuffle", "edges", "light"]
    scale: float = 1.0
    start: float = 0.0
    end: float = 1.0
    over: Literal["run", "noise"] = "run"
    model: str = field(default="", metadata={LATER: True})
    """A ControlNet by the name that the server's owner gave it; empty: the published one for the kind."""

    def __post_init__(self) -> None:
        check_name("model", self.model)
        check_within("scale", self.scale, 0.0, 2.0)
        check_within("start", self.start, 0.0, 1.0)
        check_within("end", self.end, self.start, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceSpec(Strict):
    """A picture that the texture is to resemble; it lies in no UVs.

    Args:
        image: U8 [H, W, 3], or [H, W, 4] with alpha, sRGB, row 0 at the top; what is transparent does not count.
        scale: how much its colors pull; 0: they do not, and it is shown by the control `shuffle` alone.
        adapter: an IP-Adapter by the name that the server's owner gave it, by which the model looks at the picture as
            much as `scale` says; no colors pull then. Empty: none.
    """

    image: ArrayRef
    scale: float = 0.5
    adapter: str = field(default="", metadata={LATER: True})

    def __post_init__(self) -> None:
        check_within("scale", self.scale, 0.0, 2.0)
        check_name("adapter", self.adapter)
        shape, most = self.image.shape, DEFAULT_LIMITS.image_max
        if self.image.dtype is not DType.U8 or len(shape) != 3 or shape[2] not in (3, 4):
            text = f"Got {self.image.dtype.name} {list(shape)}; expected U8 [H, W, 3] or [H, W, 4]."
            raise FieldError("image", text)
        if not all(1 <= side <= most for side in shape[:2]):
            raise FieldError("image", f"Got {shape[1]} x {shape[0]} pixels; expected sides of 1 to {most}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionsSpec(Strict):
    """What the prior sees besides the prompt."""

    depth: bool = True
    depth_scale: float | None = None
    controls: tuple[ControlSpec, ...] = field(default=(), metadata={LATER: True})
    """All that the prior is shown, in place of the two fields above; empty: what they say."""
    reference: ReferenceSpec | None = field(default=None, metadata={LATER: True})
    """A picture whose colors the texture is to have, with any prior, and which `shuffle` shows."""

    def __post_init__(self) -> None:
        kinds = [control.kind.removesuffix("-official") for control in self.controls]
        if len(set(kinds)) != len(kinds):
            raise FieldError("controls", "Expected each kind once.")
        if self.controls and (self.depth_scale is not None or not self.depth):
            raise FieldError("controls", "The depth is said twice; name it among the controls alone.")
        check_within("depth_scale", self.depth_scale, 0.0, 2.0)
        if not self.depth and self.depth_scale is not None:
            raise FieldError("depth_scale", "The depth is left out; leave its scale out too.")
        shuffled = "shuffle" in kinds
        if shuffled and self.reference is None:
            raise FieldError("reference", "The control shuffle shows a picture of yours; send that too.")
        if self.reference is not None and self.reference.scale == 0.0 and not shuffled:
            text = "With 0 the picture does nothing, as no control shuffle shows it; give a scale, or leave it out."
            raise FieldError("reference.scale", text)
