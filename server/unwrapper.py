# SPDX-License-Identifier: Apache-2.0
"""Whether new UVs can be made here. Broker, gate and worker have one environment, so each can say it."""

from __future__ import annotations

import importlib.util
from typing import get_args

from blender_addon.protocol.errors import ProtocolError, Retry, WireError, invalid
from blender_addon.protocol.specs.job import NEW_UVS, MapName

__all__ = ["has_unwrapper", "no_unwrapper", "offered_maps"]


def has_unwrapper() -> bool:
    """Says whether xatlas is installed; it is looked for and not loaded."""
    return importlib.util.find_spec("xatlas") is not None


def offered_maps() -> tuple[str, ...]:
    """Says what `maps` of a job may name, for WELCOME."""
    return tuple(name for name in get_args(MapName) if name != NEW_UVS or has_unwrapper())


def no_unwrapper() -> ProtocolError:
    """Returns the error that a job for new UVs gets where they cannot be made."""
    error = invalid("maps", "The server cannot make UVs, since xatlas is not installed there.").error
    hint = "Make them in Blender (Smart UV Project), or on the server: pip install xatlas."
    return ProtocolError(WireError(error.code, Retry.CHANGED, error.text, field=error.field, hint=hint))
