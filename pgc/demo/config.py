# SPDX-License-Identifier: Apache-2.0
"""All numbers of the demo, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from pgc.errors import ConfigError
from pgc.guidance.specs import GuidanceSpec, parse_guidance
from pgc.maps import MapName
from pgc.runs.folder import OutputConfig
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import RunSettings, resolve

__all__ = ["DemoConfig", "DemoPrompt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPrompt:
    """One of the demo's textures: its prompt and its folder."""

    name: str
    """Of its folder: lower-case letters, digits and dashes."""
    text: str
    oracle_texture: Path | None = None
    """For the oracle only."""

    def __post_init__(self) -> None:
        if not self.name.replace("-", "").isalnum() or self.name != self.name.lower():
            raise ConfigError(f"The demo's name {self.name!r} must consist of lower-case letters, digits and dashes.")


def _prompts() -> tuple[DemoPrompt, ...]:
    return (
        DemoPrompt(name="bricks", text="a pot made of red bricks"),
        DemoPrompt(name="checker", text="a blue checkered pot"),
        DemoPrompt(name="camouflage", text="a pot in green camouflage"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoConfig:
    """What `make demo` does. The prompt evaluation uses the same settings."""

    prompts: tuple[DemoPrompt, ...] = field(default_factory=_prompts)
    guidance: str = "pocket"
    """The prior's name, as it stands behind --guidance."""
    choices: RunChoices = field(default_factory=lambda: RunChoices(maps=("base_color",)))
    outputs: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        names = [prompt.name for prompt in self.prompts]
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"The demo's names are {names}; expected one or more, all different.")

    def resolved(self) -> tuple[GuidanceSpec, RunSettings]:
        """Returns the prior and the settings of its runs."""
        return resolve(self.choices, parse_guidance(self.guidance))

    def with_maps(self, wanted: tuple[MapName, ...]) -> DemoConfig:
        """Returns the same demo with more maps than base colour."""
        return replace(self, choices=replace(self.choices, maps=wanted))
