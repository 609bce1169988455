# SPDX-License-Identifier: Apache-2.0
"""What a run is told: the prompt, and the settings of the loop."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pgc.cameras.view_names import FrontAxis, ViewName, view_prompt
from pgc.distillation.build import DistillationConfig
from pgc.distillation.sds import SDSConfig
from pgc.errors import ConfigError
from pgc.gradient_regulation.build import RegulationConfig
from pgc.gradient_regulation.pixelwise_clipping import PixelwiseClippingConfig
from pgc.lighting.explained.explaining import ExplainedLightConfig
from pgc.optimization.warm_start_config import WarmStartConfig

__all__ = [
    "BackgroundConfig",
    "EncoderGradientConfig",
    "EncoderGradientName",
    "LinearGradientConfig",
    "OptimizeConfig",
    "Prompt",
]

EncoderGradientName = Literal["exact", "linear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What the texture is to be: the prompt as a whole, and what to say of single views."""

    text: str
    negative: str = ""
    view_dependent: bool = True
    """Whether ", front view" and so on is added according to where the camera stands."""
    front_axis: FrontAxis = "-y"
    """The side of the (Z-up) mesh that the words "front view" mean."""
    per_view: Mapping[ViewName, str] = field(default_factory=dict)
    """Prompts of single views, in place of `text` and exactly as they stand."""

    def __post_init__(self) -> None:
        for text in (self.text, self.negative, *self.per_view.values()):
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise ConfigError(
                    f"The prompt {text!a} holds bytes that are no text in UTF-8; type it again, or see to the "
                    "terminal's encoding."
                ) from error

    def of_view(self, name: ViewName) -> str:
        """Returns what is asked for where a camera shows this side."""
        general = view_prompt(self.text, name) if self.view_dependent else self.text
        return self.per_view.get(name, general)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundConfig:
    """What is behind the mesh. Random colours keep the prior from tying the texture to one of them."""

    random: bool = True
    color: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """sRGB in [0, 1]; used when not random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderGradientConfig:
    """How a gradient on the latents is carried to the picture: by the encoder's own graph."""

    loss_scale: float = 1.0
    """S: what the latent gradient is multiplied by before it goes through a half-precision encoder; the result is
    divided by it before anything looks at it, so that S changes nothing but underflow."""
    posterior: Literal["mean", "sample"] = "mean"
    """Which latents of a picture: the mean of what the encoder says, or a sample, as the official PGC code takes. The
    mean has no noise of its own in the gradient; autoencoders of this family have deviations of a hundredth or less."""

    def __post_init__(self) -> None:
        if not (self.loss_scale > 0 and math.isfinite(self.loss_scale)):
            raise ConfigError(f"encoder_gradient.loss_scale is {self.loss_scale}; it must be positive and finite.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearGradientConfig:
    """How a gradient on the latents is carried to the picture: by the best linear map from colours to latents, which is
    fitted before the first step. The encoder's graph is never built."""

    kind: Literal["linear"] = "linear"
    images: int = 24
    """Smooth random pictures to fit the map on."""

    def __post_init__(self) -> None:
        if self.images < 4:
            raise ConfigError(f"encoder_gradient.images is {self.images}; a map of four numbers a channel needs 4.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizeConfig:
    """Everything that decides the outcome of the loop, apart from the mesh, the field and the prior."""

    steps: int = 1200
    views: int = 4
    """Views a step."""
    updates: int = 1
    """Updates of the texels a step, all towards the same target; more than 1 for losses with a target in the image.
    The prior is asked once, so that they cost little; the texture settles on what one view shows before the next view
    is drawn, where averaging over disagreeing views would blur it (as in the dataset updates of Haque et al.,
    "Instruct-NeRF2NeRF", ICCV 2023)."""
    resolution: int = 1024
    """Side of the rendered image, in pixels."""
    seed: int = 0
    learning_rate: float = 0.01
    """Adam's, for the coarsest texels; the field scales it for finer levels."""
    final_learning_rate: float = 0.1
    """The learning rate falls along a cosine to this fraction of itself."""
    betas: tuple[float, float] = (0.9, 0.99)
    epsilon: float = 1e-15
    """Adam's, as the official code. Where gradients are residuals in the image, one of their size (some 0.01) lets
    texels that are nearly right alone, whose noise Adam would scale up to full steps."""
    warm_up: float = 0.0
    """Fraction of the steps over which the learning rate rises from 0."""
    coarse_to_fine: float = 0.5
    """Fraction of the steps after which all levels of the texture are live."""
    average_from: float = 1.0
    """Fraction of the steps from which on the texels are averaged; the run ends with their mean. 1: no averaging."""
    background: BackgroundConfig = field(default_factory=BackgroundConfig)
    distillation: DistillationConfig = field(default_factory=SDSConfig)
    encoder_gradient: EncoderGradientConfig | LinearGradientConfig = field(default_factory=EncoderGradientConfig)
    """Where the loss has no gradient on the latents, the encoder is not gone through."""
    regulation: RegulationConfig = field(default_factory=PixelwiseClippingConfig)
    """Of the whole ∂L/∂x on the composited render, in each update of a step."""
    warm_start: WarmStartConfig | None = None
    """Steps of a sampler before the first step of distillation, which then refines what they have painted: all levels
    of the texture are live from there on. None: distillation from the start."""
    likeness_scale: float = 0.0
    """Weight of the pull towards the colours of the scene's picture (`palette`), as a residual in the image."""
    front_scale: float = 0.0
    """Weight of the difference between the front view and the scene's picture (`front_view`), in each step."""
    explained_light: ExplainedLightConfig | None = None
    """How the light of what a teacher wants is found, where it is not told the light (`views.found_light`); of lit
    textures alone. None: what it wants is compared under the light of the run's drawing."""

    def __post_init__(self) -> None:
        for name in ("likeness_scale", "front_scale"):
            if not (getattr(self, name) >= 0 and math.isfinite(getattr(self, name))):
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be 0 or more.")
        positive = {"steps": self.steps, "views": self.views, "updates": self.updates, "resolution": self.resolution}
        for name, value in positive.items():
            if value < 1:
                raise ConfigError(f"{name} is {value}; it must be 1 or more.")
        self._check_explained_light()
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise ConfigError(f"learning_rate is {self.learning_rate}; it must be above 0 and finite.")
        if not self.epsilon > 0:
            raise ConfigError(f"epsilon is {self.epsilon}; it must be above 0.")
        for name, fraction in {
            "final_learning_rate": self.final_learning_rate,
            "warm_up": self.warm_up,
            "coarse_to_fine": self.coarse_to_fine,
            "average_from": self.average_from,
        }.items():
            if not 0.0 <= fraction <= 1.0:
                raise ConfigError(f"{name} is {fraction}; it must lie in [0, 1].")

    def _check_explained_light(self) -> None:
        """Refuses what would be lost where the residual is taken under another light."""
        if self.explained_light is None:
            return
        if self.likeness_scale > 0.0:
            raise ConfigError(
                f"likeness_scale is {self.likeness_scale}, and explained_light replaces the residual that it adds to; "
                "use one of them."
            )
        if self.updates > 1:
            raise ConfigError(
                f"updates is {self.updates}, and explained_light finds a light for one: use 1, or no explained_light."
            )

    @property
    def warm_steps(self) -> int:
        """How many steps come before those of distillation."""
        return 0 if self.warm_start is None else self.warm_start.steps

    def share_done(self, step: int) -> float:
        """Returns how much of a run's work is done after `step` steps, counted by the views that they ask the prior
        about."""
        of_warm = 0 if self.warm_start is None else self.warm_start.views
        warm = min(step, self.warm_steps)
        done = warm * of_warm + (step - warm) * self.views
        return done / (self.warm_steps * of_warm + self.steps * self.views)

    def learning_rate_scale(self, index: int) -> float:
        """Returns the factor on the learning rates in step `index` of distillation."""
        fall = 0.5 * (1.0 + math.cos(math.pi * index / self.steps))
        scale = self.final_learning_rate + (1.0 - self.final_learning_rate) * fall
        return scale if self.warm_up <= 0.0 else scale * min(1.0, (index + 1) / (self.warm_up * self.steps))

    def live_levels(self, index: int) -> float:
        """Returns how much of the texture's pyramid is live in step `index` of distillation, from 0 to 1."""
        if self.warm_start is not None or not self.coarse_to_fine:
            return 1.0
        return min(1.0, index / self.steps / self.coarse_to_fine)

    def known_settings(self) -> dict[str, Any]:
        """Returns every setting, but for those of later versions that are off: runs of earlier ones go on."""
        unchosen = self.unchosen()
        return {name: value for name, value in asdict(self).items() if name not in unchosen}

    def unchosen(self) -> tuple[str, ...]:
        """Returns the names of the settings that a later version brought and that are off, in the order they came."""
        off = {"warm_start": self.warm_start is None, "front_scale": not self.front_scale}
        off["explained_light"] = self.explained_light is None
        return tuple(name for name, is_off in off.items() if is_off)

    def fingerprint(self) -> str:
        """Returns the SHA-256 over every setting: two runs with the same one are the same run."""
        return hashlib.sha256(json.dumps(self.known_settings(), sort_keys=True).encode()).hexdigest()
