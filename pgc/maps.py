# SPDX-License-Identifier: Apache-2.0
"""The maps that a run can make, by the names of glTF 2.0, and which of them go together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pgc.errors import ConfigError

__all__ = [
    "MAPS",
    "MAP_NAMES",
    "MapInfo",
    "MapName",
    "complete_maps",
    "map_channels",
    "need_light",
    "parse_maps",
    "read_maps",
]

MapName = Literal["base_color", "roughness", "metallic", "normal", "occlusion"]
MAP_NAMES: tuple[MapName, ...] = get_args(MapName)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapInfo:
    """What all who handle maps need to know of one.

    Attributes:
        name: as glTF 2.0 has it, and so in file names and messages.
        channels: of its image.
        neutral: what it holds, as stored, where a texture does not have it: matte, no metal, flat, nothing in the way
            of light. Base colour is always there.
        lit: whether only light shows it, so that a run must be lit to find it.
        start: whether a run takes it from a texture to start from; else it is computed from the shape at the end.
        is_color: whether it is colour, sRGB-encoded; else it is data.
    """

    name: MapName
    channels: int
    neutral: tuple[float, ...]
    lit: bool = False
    start: bool = True
    is_color: bool = False

    def __post_init__(self) -> None:
        if len(self.neutral) != self.channels:
            raise ConfigError(f"Got {len(self.neutral)} neutral values; expected {self.channels}, one a channel.")


MAPS: Mapping[str, MapInfo] = {
    info.name: info
    for info in (
        MapInfo(name="base_color", channels=3, neutral=(1.0, 1.0, 1.0), is_color=True),
        MapInfo(name="roughness", channels=1, neutral=(1.0,), lit=True),
        MapInfo(name="metallic", channels=1, neutral=(0.0,), lit=True),
        MapInfo(name="normal", channels=3, neutral=(0.5, 0.5, 1.0), lit=True),
        MapInfo(name="occlusion", channels=1, neutral=(1.0,), start=False),
    )
}
"""Every map: a new one is a row here and a name above, and what it means for shading (`pgc.rendering.pbr_shading`,
`pgc.texture.material_field`). Protocol and add-on have lists of their own, which tests/test_map_tables.py compares."""


def map_channels(*, start: bool = False) -> dict[str, int]:
    """Returns channels by the maps' names; `start`: of those only that a run may start from."""
    return {name: info.channels for name, info in MAPS.items() if info.start or not start}


def need_light(maps: Iterable[MapName]) -> bool:
    """Says whether a run must be lit to find these maps; base colour is found without, occlusion is computed."""
    return any(MAPS[name].lit for name in maps)


def complete_maps(wanted: Iterable[MapName]) -> tuple[MapName, ...]:
    """Returns the wanted maps with those that they rest on, each once, in the order of `MAP_NAMES`.

    Base colour is always there, and roughness wherever there is metal or relief: a lit surface has both, so that the
    others would mean little without them.
    """
    chosen: set[MapName] = {"base_color", *wanted}
    if need_light(chosen):
        chosen.add("roughness")
    return tuple(name for name in MAP_NAMES if name in chosen)


def read_maps(text: str) -> tuple[MapName, ...]:
    """Reads maps from their names with commas between, as they are named. Raises ConfigError for other names."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in MAP_NAMES]
    if unknown or not names:
        got = f"Got {', '.join(map(repr, unknown))}" if unknown else "Got no map"
        raise ConfigError(f"{got}; the maps are {', '.join(MAP_NAMES)}, with commas between.")
    return tuple(known for name in names for known in MAP_NAMES if known == name)


def parse_maps(text: str) -> tuple[MapName, ...]:
    """Reads maps from their names with commas between, and completes them. Raises ConfigError for other names."""
    return complete_maps(read_maps(text))
