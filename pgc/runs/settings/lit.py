# SPDX-License-Identifier: Apache-2.0
"""How a run finds the maps that only light shows: their ranges, what is likely of them, and the light."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import torch

from pgc.errors import ConfigError
from pgc.guidance.specs import GuidanceSpec, OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.lighting.environments import LightingConfig
from pgc.lighting.explained.explaining import ExplainedLightConfig
from pgc.optimization.config import OptimizeConfig
from pgc.optimization.map_gradients import Baseline
from pgc.pocket import takes_shading, weights_folder
from pgc.rendering.environment import colored_key, overcast, random_environment, sky, studio
from pgc.rendering.prefilter import PrefilteredEnvironment, prefilter
from pgc.texture.material_field import MaterialFieldConfig
from pgc.texture.penalties import MaterialPriorConfig
from pgc.texture.texel_config import MapSettings

__all__ = [
    "ENVIRONMENTS",
    "EnvironmentName",
    "MaterialConfig",
    "base_material",
    "lit_optimize",
    "lit_prior",
    "run_environments",
    "with_found_light",
]

EnvironmentName = Literal["sky", "studio", "overcast", "colored_key"]
ENVIRONMENTS: tuple[EnvironmentName, ...] = get_args(EnvironmentName)
_MOST_DRAWN = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class MaterialConfig:
    """Settings of a lit run.

    Attributes:
        fields: ranges and learning rates of the maps.
        priors: what is likely of a material, each with its weight.
        lighting: how the light varies from step to step.
        environments: what the light is drawn from, by name (see `pgc.rendering.environment`).
        drawn: so many more environments of random tints and lamps, the same in every run.
        baseline: what the prior's picture is compared with for roughness, metallic and relief; see
            `pgc.optimization.map_gradients`. A loss on latents alone knows no difference.

    Raises:
        ConfigError: there is no environment, or too many are to be drawn.
    """

    fields: MaterialFieldConfig = field(default_factory=MaterialFieldConfig)
    priors: MaterialPriorConfig = field(default_factory=MaterialPriorConfig)
    lighting: LightingConfig = field(default_factory=LightingConfig)
    environments: tuple[EnvironmentName, ...] = ENVIRONMENTS
    drawn: int = 4
    baseline: Baseline = "render"

    def __post_init__(self) -> None:
        if not 0 <= self.drawn <= _MOST_DRAWN:
            raise ConfigError(f"Got {self.drawn} environments to draw; expected 0 to {_MOST_DRAWN}.")
        if not self.environments and not self.drawn:
            raise ConfigError("Got no environment to light the mesh with; name one, or have some drawn.")


def run_environments(config: MaterialConfig, device: torch.device) -> list[PrefilteredEnvironment]:
    """Makes the environments of a run: those that are named, then those that are drawn."""
    makers = {"sky": sky, "studio": studio, "overcast": overcast, "colored_key": colored_key}
    named = [makers[name]() for name in config.environments]
    drawn = [random_environment(torch.Generator().manual_seed(1000 + index)) for index in range(config.drawn)]
    return [prefilter(one).to(device) for one in (*named, *drawn)]


def _is_told_the_light(spec: GuidanceSpec) -> bool:
    """Whether a prior's weights were trained to be; only the pocket prior's second edition was."""
    if not isinstance(spec, PocketSpec):
        return False
    return takes_shading(weights_folder() if spec.source is None else Path(spec.source))


def base_material(spec: GuidanceSpec) -> MaterialConfig:
    """Says how a prior finds the maps that only light shows."""
    if _is_told_the_light(spec):
        # What such a prior paints fits the light that it is told, and metal may go where the picture says: it starts
        # between the two and moves fast. Its noise is more than the oracle's, and so are the weights against it. And
        # its small decoder blunts highlights, which roughness would take for its own.
        fields = MaterialFieldConfig(
            roughness=MapSettings(initial=0.5, low=0.05, rate=1.5), metallic=MapSettings(initial=0.3, rate=2.0)
        )
        priors = MaterialPriorConfig(
            smoothness=0.05, roughness_smoothness=1.0, metallic_extremes=0.02, color_smoothness=0.002
        )
        return MaterialConfig(
            fields=fields,
            priors=priors,
            environments=("studio", "overcast", "sky"),
            drawn=0,
            baseline="reconstruction",
        )
    if not isinstance(spec, OracleSpec):
        # A prior that is not told the light explains whatever it wants to see by metal and relief, if these may go
        # anywhere: they move slowly, and are held together more. Coloured light it would paint against.
        fields = MaterialFieldConfig(
            roughness=MapSettings(initial=0.6, low=0.05, rate=0.4),
            metallic=MapSettings(initial=0.02, rate=0.1),
            slope=MapSettings(initial=0.5, rate=0.08),
        )
        priors = MaterialPriorConfig(
            smoothness=0.05, roughness_smoothness=1.0, metallic_extremes=0.02, color_smoothness=0.002
        )
        return MaterialConfig(fields=fields, priors=priors, environments=("studio", "overcast", "sky"), drawn=0)
    # Rates and weights of the material suite (`pgc eval materials`): metal has the longest way to go.
    priors = MaterialPriorConfig(
        smoothness=0.01, roughness_smoothness=2.0, metallic_extremes=0.01, color_smoothness=0.002
    )
    fields = MaterialFieldConfig(
        base_color=MapSettings(initial=0.5, low=0.02, rate=1.5),
        roughness=MapSettings(initial=0.5, low=0.05, rate=2.0),
        metallic=MapSettings(initial=0.3, rate=3.0),
    )
    return MaterialConfig(fields=fields, priors=priors)


def lit_optimize(optimize: OptimizeConfig, spec: GuidanceSpec) -> OptimizeConfig:
    """Returns the loop's settings for light that changes from step to step, and what it shows of a texel with it."""
    if not isinstance(spec, OracleSpec):
        return optimize
    # Texels that few pixels see have gradients of little but noise, which a small epsilon makes whole steps of.
    return replace(optimize, epsilon=max(optimize.epsilon, 0.03), average_from=min(optimize.average_from, 0.5))


def lit_prior(spec: GuidanceSpec) -> GuidanceSpec:
    """Returns the prior for lit pictures: the pocket prior is told of light, in the words of its training."""
    if isinstance(spec, PocketSpec) and spec.prompt_suffix == PocketSpec().prompt_suffix:
        return replace(spec, prompt_suffix=", soft lighting")
    return spec


def with_found_light(optimize: OptimizeConfig, material: MaterialConfig | None, spec: GuidanceSpec) -> OptimizeConfig:
    """Returns the settings of a run that finds the light of what its teacher wants (`--explain-light`).

    Raises:
        ConfigError: the run is not lit, or its prior is told the light.
    """
    if material is None:
        raise ConfigError(
            "--explain-light finds the light of lit pictures, and base colour alone is shown without light; ask for "
            "roughness, metallic or normal as well, or leave it out."
        )
    controls = spec.controls if isinstance(spec, StableDiffusionSpec | SDXLSpec) else ()
    if material.baseline != "render" or any(control.wish.kind == "light" for control in controls):
        raise ConfigError(
            "--explain-light is for models that are not told the light, as this one is (by its training, or by a "
            "control light); leave it out."
        )
    return replace(optimize, explained_light=ExplainedLightConfig())
