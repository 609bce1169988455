# SPDX-License-Identifier: Apache-2.0
"""The maps that a run can make, by the names of glTF 2.0, and which of them go together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from pgc.errors import ConfigError

__all__ = ["MAP_NAMES", "MapName", "complete_maps", "need_light", "parse_maps", "read_maps"]

MapName = Literal["base_color", "roughness", "metallic", "normal", "occlusion"]
MAP_NAMES: tuple[MapName, ...] = get_args(MapName)
_LIT: frozenset[MapName] = frozenset({"roughness", "metallic", "normal"})
"""Maps that only light shows."""


def need_light(maps: Iterable[MapName]) -> bool:
    """Says whether a run must be lit to find these maps; base colour is found without, occlusion is computed."""
    return not _LIT.isdisjoint(maps)


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
