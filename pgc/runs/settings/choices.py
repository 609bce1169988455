# SPDX-License-Identifier: Apache-2.0
"""What a person may choose of how a run goes: one table of names, ranges and help for command line, server and demo.

A new choice is a field here, and what it does stands in `pgc.runs.settings.presets.resolve`. With an `Offer` it is an
option of `pgc texture` too. Where the wire's `SettingsSpec` has a field of its name, it travels to a server under it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from pgc.errors import ConfigError
from pgc.maps import MAP_NAMES, MapName, read_maps

if TYPE_CHECKING:
    from pgc.distillation.build import DistillationName
    from pgc.gradient_regulation.base import PixelNorm
    from pgc.gradient_regulation.build import RegulationName
    from pgc.runs.settings.lit import EnvironmentName

__all__ = ["PRESETS", "Offer", "PresetName", "RunChoices", "choices_offered"]

PresetName = Literal["draft", "standard", "fine"]
PRESETS: tuple[PresetName, ...] = get_args(PresetName)

_OFFER = "offer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """How the command line offers a choice.

    Attributes:
        help: what the option does.
        kind: type of what stands behind the option.
        panel: heading in the help under which the option stands.
        least: smallest number that is allowed.
        read: from what stands behind the option to the choice's value; None takes it as it is.
        flag: the option's spelling, where it is not that of the choice's name.
    """

    help: str
    kind: type[str] | type[int] | type[bool]
    panel: str = "Quality and time"
    least: int | None = None
    read: Callable[[str], Any] | None = None
    flag: str | None = None


def _read_preset(text: str) -> PresetName:
    for name in PRESETS:
        if name == text:
            return name
    raise ConfigError(f"--preset is {text!r}; expected one of {', '.join(PRESETS)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChoices:
    """What a person chose; None leaves a value to the preset of the prior.

    Raises:
        ConfigError: a number is below its range.
    """

    preset: PresetName | None = field(
        default=None,
        metadata={_OFFER: Offer(help="draft, standard (the default) or fine.", kind=str, read=_read_preset)},
    )
    steps: int | None = field(
        default=None, metadata={_OFFER: Offer(help="Steps of the optimisation.", kind=int, least=1)}
    )
    views: int | None = field(default=None, metadata={_OFFER: Offer(help="Views a step.", kind=int, least=1)})
    resolution: int | None = field(
        default=None, metadata={_OFFER: Offer(help="Side of a view, pixels.", kind=int, least=1)}
    )
    texture_size: int | None = field(
        default=None, metadata={_OFFER: Offer(help="Side of the texture, texels: a power of two.", kind=int)}
    )
    seed: int | None = field(
        default=None, metadata={_OFFER: Offer(help="Another seed gives another texture.", kind=int, least=0)}
    )
    maps: tuple[MapName, ...] | None = field(
        default=None,
        metadata={
            _OFFER: Offer(
                help=f"Maps to make, with commas between: base_color (the default), {', '.join(MAP_NAMES[1:])}.",
                kind=str,
                read=read_maps,
            )
        },
    )
    """As they were named; a run adds what these rest on."""
    separate_slots: bool | None = field(
        default=None,
        metadata={
            _OFFER: Offer(
                help="Material slots are different materials: nothing is blended across their borders.",
                kind=bool,
                panel="Mesh",
                flag="--separate-slots",
            )
        },
    )

    guidance_scale: float | None = None
    distillation: DistillationName | None = None
    regulation: RegulationName | None = None
    clip_threshold: float | None = None
    """Of pixel-wise clipping."""
    clip_norm: PixelNorm | None = None
    depth: bool | None = None
    """False: the prior is not shown the mesh's depth."""
    depth_scale: float | None = None
    rotate_light: bool | None = None
    exposure: float | None = None
    """Most stops by which the light varies."""
    environments: tuple[EnvironmentName, ...] | None = None
    """Those of a lit run, and no others beside them."""

    def __post_init__(self) -> None:
        for name, offer in choices_offered().items():
            value = getattr(self, name)
            if offer.least is not None and value is not None and value < offer.least:
                raise ConfigError(f"{name} is {value}; it must be {offer.least} or more.")


def choices_offered() -> dict[str, Offer]:
    """Returns the choices that the command line offers, by name, in their order."""
    return {item.name: item.metadata[_OFFER] for item in fields(RunChoices) if _OFFER in item.metadata}
