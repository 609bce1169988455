# SPDX-License-Identifier: Apache-2.0
"""How a run finds the maps that only light shows: their ranges, what is likely of them, and the light."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import torch

from pgc.errors import ConfigError
from pgc.lighting.environments import LightingConfig
from pgc.optimization.map_gradients import Baseline
from pgc.rendering.environment import colored_key, overcast, random_environment, sky, studio
from pgc.rendering.prefilter import PrefilteredEnvironment, prefilter
from pgc.texture.material_field import MaterialFieldConfig
from pgc.texture.priors import MaterialPriorConfig

__all__ = ["ENVIRONMENTS", "EnvironmentName", "MaterialConfig", "run_environments"]

EnvironmentName = Literal["sky", "studio", "overcast", "colored_key"]
ENVIRONMENTS: tuple[EnvironmentName, ...] = get_args(EnvironmentName)
_MOST_DRAWN = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class MaterialConfig:
    """Settings of a lit run.

    Attributes:
        fields: ranges and learning rates of the maps; its size, tiles and seams are those of the run.
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
    """The environments of a run: those that are named, then those that are drawn."""
    makers = {"sky": sky, "studio": studio, "overcast": overcast, "colored_key": colored_key}
    named = [makers[name]() for name in config.environments]
    drawn = [random_environment(torch.Generator().manual_seed(1000 + index)) for index in range(config.drawn)]
    return [prefilter(one).to(device) for one in (*named, *drawn)]
