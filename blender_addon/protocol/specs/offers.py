# SPDX-License-Identifier: Apache-2.0
"""What a server offers to a session of an older minor version: nothing that it would not know what to do with."""

from __future__ import annotations

from typing import Final

from ..records import ModelInfo
from .picture import PICTURE_MODEL
from .shape import NEW_SHAPE

__all__ = ["maps_of_version", "models_of_version"]

_FIRST_MINOR_OF_MAP: Final = {NEW_SHAPE: 2}
"""The minor version that brought a map, where that is a later one than 1.1."""
_FIRST_MINOR_OF_MODEL: Final = {PICTURE_MODEL: 2}
"""The same of models that make no textures: an older client would offer them for that."""
_NAMED_SINCE: Final = 2
"""Of what a server's owner has given a name, as KIND:NAME."""


def maps_of_version(maps: tuple[str, ...], minor: int) -> tuple[str, ...]:
    """Returns those of a server's maps that a session of protocol 1.`minor` knows."""
    return tuple(name for name in maps if _FIRST_MINOR_OF_MAP.get(name, 0) <= minor)


def models_of_version(models: tuple[ModelInfo, ...], minor: int) -> tuple[ModelInfo, ...]:
    """Returns those of a server's models that a session of protocol 1.`minor` knows."""
    first = {model.key: _NAMED_SINCE for model in models if ":" in model.key} | _FIRST_MINOR_OF_MODEL
    return tuple(model for model in models if first.get(model.key, 0) <= minor)
