# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel offers of a method, and from what was chosen to what a job says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from ..client import ConditionsSpec, DistillationSpec, ReferenceSpec, RegulationSpec
from .conditions.controls import CONTROL_SETTINGS, WishedControl, conditions_of, shown_by, wished_controls, wished_name
from .conditions.loras import LORA_SETTINGS
from .conditions.named import NAMED_SETTINGS
from .conditions.views import VIEW_SETTINGS
from .conditions.words import WORD_SETTINGS

__all__ = [
    "FIELDS",
    "GRADIENTS",
    "LOSSES",
    "METHOD_SETTINGS",
    "NOISES",
    "NORMS",
    "REGULATIONS",
    "SCHEDULES",
    "WARM_STARTS",
    "WEIGHTINGS",
    "ChosenMethod",
    "draws_noise",
    "has_norm",
    "has_norm_limit",
    "has_rescale",
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
WARM_STARTS = (
    _OWN,
    ("on", "On", "Views from all round are painted together first, and refined after"),
    ("off", "Off", "The texture grows from gray, step by step"),
)
NORMS = (
    _OWN,
    ("l2", "Length", "The length of a pixel's pull counts, as in the PGC paper"),
    ("linf", "Largest Channel", "Its largest color channel counts, as in the paper's code"),
)
REGULATIONS = (
    _OWN,
    ("pgc", "PGC", "Each pixel's pull is clipped and keeps its direction"),
    ("pgc-v", "PGC-V", "Each color channel is clipped by itself"),
    ("pngd", "PNGD", "Each pixel's pull is shortened, strong ones most"),
    ("adaptive", "Adaptive", "The strongest pixels are clipped: a tenth of them, or as many as you say"),
    ("none", "None", "Nothing is clipped; for comparing"),
)
METHOD_SETTINGS = (
    "loss",
    "timesteps",
    "noise",
    "weighting",
    "encoder_gradient",
    "texture_field",
    "warm_start",
    "regulation",
    "use_clip",
    "clip",
    "clip_norm",
    "use_clip_quantile",
    "clip_quantile",
    "use_guidance_rescale",
    "guidance_rescale",
    "use_latent_weight",
    "latent_weight",
    "use_guidance_scale",
    "guidance_scale",
    "use_depth",
    "use_depth_scale",
    "depth_scale",
    *CONTROL_SETTINGS,
    *LORA_SETTINGS,
    *WORD_SETTINGS,
    *NAMED_SETTINGS,
    "reference_scale",
    "use_vertex_colors",
    *VIEW_SETTINGS,
)
"""Names of the panel's settings; versions and presets keep them."""


def has_norm_limit(regulation: str) -> bool:
    """Says whether a regulation has a longest gradient that can be chosen."""
    return regulation not in ("adaptive", "none")


def has_norm(regulation: str) -> bool:
    """Says whether a regulation measures pixels in one of two ways."""
    return regulation in ("preset", "pgc", "pngd", "adaptive")


def has_rescale(loss: str) -> bool:
    """Says whether a loss has a guided prediction that can be rescaled."""
    return loss not in ("csd", "ssd")


def draws_noise(loss: str) -> bool:
    """Says whether a loss draws noise, which could stay on the surface."""
    return loss != "ism"


def has_weighting(loss: str, model: str, latent_weight: float | None = None) -> bool:
    """Says whether a loss of a model weighs amounts of noise; the built-in model's own looks at pictures alone, unless
    HiFA is told otherwise.
    """
    if loss == "hifa" and latent_weight is not None:
        return latent_weight > 0.0
    return not (model == "pocket" and loss in ("preset", "hifa"))


def _number(values: Mapping[str, Any], name: str, has: bool) -> float | None:
    """A number whose box is checked, where the method has it."""
    return float(values[name]) if has and values[f"use_{name}"] else None


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
    clip_norm: str
    clip_quantile: float | None
    guidance_scale: float | None
    guidance_rescale: float | None
    latent_weight: float | None
    depth: bool
    depth_scale: float | None
    depth_model: str
    controls: tuple[WishedControl, ...]

    @classmethod
    def of(cls, settings: object, model: str, *, has_reference: bool = False) -> ChosenMethod:
        """Reads the panel's settings, by the names in `METHOD_SETTINGS`, for a job of this model. What is switched off,
        hidden or grayed out is not asked for."""
        values = {name: getattr(settings, name) for name in METHOD_SETTINGS}
        depth = bool(values["use_depth"])
        loss, regulation = values["loss"], values["regulation"]
        latent_weight = _number(values, "latent_weight", loss == "hifa")
        weighs = has_weighting(loss, model, latent_weight)
        scales = depth and values["use_depth_scale"] and "depth" in shown_by(model)
        return cls(
            loss=loss,
            timesteps=values["timesteps"],
            noise=values["noise"] if draws_noise(loss) else "preset",
            weighting=values["weighting"] if weighs else "preset",
            encoder_gradient=values["encoder_gradient"] if weighs else "preset",
            regulation=regulation,
            clip=_number(values, "clip", has_norm_limit(regulation)),
            clip_norm=values["clip_norm"] if has_norm(regulation) else "preset",
            clip_quantile=_number(values, "clip_quantile", regulation == "adaptive"),
            guidance_scale=_number(values, "guidance_scale", True),
            guidance_rescale=_number(values, "guidance_rescale", has_rescale(loss)),
            latent_weight=latent_weight,
            depth=depth,
            depth_scale=float(values["depth_scale"]) if scales else None,
            depth_model=wished_name(settings, "depth", model) if depth and "depth" in shown_by(model) else "",
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
            guidance_rescale=self.guidance_rescale,
            latent_weight=self.latent_weight,
        )

    def regulation_spec(self) -> RegulationSpec:
        """Returns what bounds each pixel's gradient, as a job has it."""
        norm = None if self.clip_norm == "preset" else cast("Any", self.clip_norm)
        return RegulationSpec(
            kind=cast("Any", self.regulation), threshold=self.clip, norm=norm, quantile=self.clip_quantile
        )

    def conditions(self, reference: ReferenceSpec | None = None) -> ConditionsSpec:
        """Returns what the model sees of the mesh, and the picture that it is to resemble, as a job has them."""
        return conditions_of(
            depth=self.depth,
            depth_scale=self.depth_scale,
            depth_model=self.depth_model,
            controls=self.controls,
            reference=reference,
        )
