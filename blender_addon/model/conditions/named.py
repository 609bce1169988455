# SPDX-License-Identifier: GPL-3.0-or-later
"""ControlNets and IP-Adapters by the names that a server's owner gave them; without Blender."""

from __future__ import annotations

from collections.abc import Iterable

from ...protocol.records import ModelInfo
from ...protocol.specs.models import READERS
from .controls import CONTROLS

__all__ = ["ADAPTER", "NAMED_SETTINGS", "control_name", "named_models", "takes_named"]

ADAPTER = "ip-adapter"
"""What the server's list calls this kind."""


def control_name(kind: str) -> str:
    """Returns the setting that names a ControlNet of this kind."""
    return f"{kind}_model"


NAMED_SETTINGS = (*(control_name(kind) for kind in ("depth", *CONTROLS)), "reference_adapter")


def takes_named(model: str) -> bool:
    """Says whether ControlNets and IP-Adapters of a server's own can be added to a model."""
    return model in READERS


def named_models(models: Iterable[ModelInfo], kind: str) -> tuple[str, ...]:
    """Returns the names of this kind in a server's list of models, whose keys are `KIND:NAME`."""
    found = (model.key.partition(":") for model in models)
    return tuple(name for of, colon, name in found if colon and of == kind)
