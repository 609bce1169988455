# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel offers of a method, and from what was chosen to what a job says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from ..client import ConditionsSpec, DistillationSpec, ReferenceSpec, RegulationSpec
from .conditions.controls import CONTROL_SETTINGS, conditions_of, shown_by, wished_controls
from .conditions.views import VIEW_SETTINGS

__all__ = [
    "FIELDS",
    "GRADIENTS",
    "LOSSES",
    "METHOD_SETTINGS",
    "NOISES",
    "REGULATIONS",
    "SCHEDULES",
    "WEIGHTINGS",
    "ChosenMethod",
    "draws_noise",
    "has_norm_limit",
    "has_weighting",
]

_OWN = ("preset", "Model's Own", "What goes best with the model")
LOSSES = (
    _OWN,
    ("sds", "SDS", "Score distillation, as in DreamFusion"),
    ("csd", "CSD", "Classifier score distillation: the prompt's pull alone"),
    ("ssd", "SSD", "Stable score distillation: calmer late in the run"),
    ("hifa", "HiFA", "Toward the picture that the model would paint"),
    ("bgt", "BGT+", "Toward such a picture, found in a few steps, as in the PGC paper"),
    ("ism", "ISM", "Two looks at one path of noise: sharper, in five times the calls of the model"),
    ("sdi", "SDI", "With the noise that the picture itself has, in eleven times the calls"),
    ("vsd", "VSD", "Against a second model that learns the texture, as in ProlificDreamer"),
    ("rfds", "RFDS", "Score distillation for models of straight flows: Stable Diffusion 3.5, FLUX, Z-Image"),
)
SCHEDULES = (
    _OWN,
    ("uniform", "Uniform", "Any amount of noise at any time"),
    ("linear", "Linear", "From much noise to little, evenly"),
    ("square_root", "Square Root", "Fast away from much noise, as in HiFA"),
    ("dreamtime", "DreamTime", "Longest where the shape of things is decided"),
)
NOISES = (
    _OWN,
    ("independent", "Independent", "Drawn anew for each view"),
    ("surface", "On the Surface", "The same place sees the same noise from everywhere, so that views agree"),
)
WEIGHTINGS = (
    _OWN,
    ("sigma_squared", "Sigma Squared", "Much noise counts more, as in DreamFusion and the PGC paper"),
    ("constant", "Constant", "Every amount of noise counts the same"),
    ("sqrt_alpha_sigma_squared", "Middle", "A middling amount of noise counts most, as in Fantasia3D"),
    ("inverse_sigma_squared", "Inverse", "Little noise counts more"),
    ("noise_to_signal", "Noise to Signal", "As a change of the clean picture, as in LucidDreamer"),
)
GRADIENTS = (
    _OWN,
    ("exact", "Exact", "Through all of the model's encoder"),
    ("linear", "Linear", "By a linear map fitted to the encoder: quick and smooth, without its patterns"),
)
FIELDS = (
    ("texels", "Texels", "The texture itself is what learns; the usual way"),
    ("hashgrid", "Hash Grid", "A grid in space and a small network, as in the PGC paper; base color alone"),
)
REGULATIONS = (
    _OWN,
    ("pgc", "PGC", "Each pixel's pull is clipped and keeps its direction"),
    ("pgc-v", "PGC-V", "Each color channel is clipped by itself"),
    ("pngd", "PNGD", "Each pixel's pull is shortened, strong ones most"),
    ("adaptive", "Adaptive", "The strongest tenth of the pixels is clipped"),
    ("none", "None", "Nothing is clipped; for comparing"),
)
METHOD_SETTINGS = (
    "loss",
    "timesteps",
    "noise",
    "weighting",
    "encoder_gradient",
    "texture_field",
    "regulation",
    "use_clip",
    "clip",
    "use_guidance_scale",
    "guidance_scale",
    "use_depth",
    "use_depth_scale",
    "depth_scale",
    *CONTROL_SETTINGS,
    "reference_scale",
    "use_vertex_colors",
    *VIEW_SETTINGS,
)
"""Names of the panel's settings; versions and presets keep them."""


def has_norm_limit(regulation: str) -> bool:
    """Says whether a regulation has a longest gradient that can be chosen."""
    return regulation not in ("adaptive", "none")


def draws_noise(loss: str) -> bool:
    """Says whether a loss draws noise, which could stay on the surface."""
    return loss != "ism"


def has_weighting(loss: str, model: str) -> bool:
    """Says whether a loss of a model weighs amounts of noise; the built-in model's own looks at pictures alone."""
    return not (model == "pocket" and loss in ("preset", "hifa"))


@dataclass(frozen=True, kw_only=True)
class ChosenMethod:
    """What was chosen in the panel; None leaves a number to the model."""

    loss: str
    timesteps: str
    noise: str
    weighting: str
    encoder_gradient: str
    regulation: str
    clip: float | None
    guidance_scale: float | None
    depth: bool
    depth_scale: float | None
    controls: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, settings: object, model: str, *, has_reference: bool = False) -> ChosenMethod:
        """Reads the panel's settings, by the names in `METHOD_SETTINGS`, for a job of this model. What is switched off,
        hidden or grayed out is not asked for."""
        values = {name: getattr(settings, name) for name in METHOD_SETTINGS}
        depth = bool(values["use_depth"])
        weighs = has_weighting(values["loss"], model)
        scales = depth and values["use_depth_scale"] and "depth" in shown_by(model)
        clips = values["use_clip"] and has_norm_limit(values["regulation"])
        return cls(
            loss=values["loss"],
            timesteps=values["timesteps"],
            noise=values["noise"] if draws_noise(values["loss"]) else "preset",
            weighting=values["weighting"] if weighs else "preset",
            encoder_gradient=values["encoder_gradient"] if weighs else "preset",
            regulation=values["regulation"],
            clip=float(values["clip"]) if clips else None,
            guidance_scale=float(values["guidance_scale"]) if values["use_guidance_scale"] else None,
            depth=depth,
            depth_scale=float(values["depth_scale"]) if scales else None,
            controls=wished_controls(settings, model, has_reference=has_reference),
        )

    def distillation(self) -> DistillationSpec:
        """Returns the loss and its noise, as a job has them. Raises FieldError for a word that is none."""
        # The words are those of the enumerations above, which a test holds to the protocol's.
        return DistillationSpec(
            kind=cast("Any", self.loss),
            timesteps=cast("Any", self.timesteps),
            noise=cast("Any", self.noise),
            weighting=cast("Any", self.weighting),
            encoder_gradient=cast("Any", self.encoder_gradient),
        )

    def regulation_spec(self) -> RegulationSpec:
        """Returns what bounds each pixel's gradient, as a job has it."""
        return RegulationSpec(kind=cast("Any", self.regulation), threshold=self.clip)

    def conditions(self, reference: ReferenceSpec | None = None) -> ConditionsSpec:
        """Returns what the model sees of the mesh, and the picture that it is to resemble, as a job has them."""
        return conditions_of(
            depth=self.depth, depth_scale=self.depth_scale, controls=self.controls, reference=reference
        )
