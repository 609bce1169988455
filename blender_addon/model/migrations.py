# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of older versions, brought up to date when a file is loaded. Without Blender.

Each group carries the schema that wrote it; 0 is one that nobody has written yet, or of before the number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["MIGRATIONS", "SCHEMA", "migrate"]

SCHEMA = 1
Migration = Callable[[Any], None]


def _numbered(group: Any) -> None:  # noqa: ANN401 - a PropertyGroup, or a stand-in for it
    """0 to 1: the number itself; before it, a step count had no bound that every server takes."""
    group.steps = min(group.steps, 100_000)


MIGRATIONS: Mapping[int, Migration] = {0: _numbered}
"""From each schema to the next."""


def migrate(group: Any, migrations: Mapping[int, Migration] = MIGRATIONS, schema: int = SCHEMA) -> bool:  # noqa: ANN401
    """Brings a group to `schema`, a step at a time. Returns False where it is of a later version, which is left
    alone.
    """
    if group.schema > schema:
        return False
    while group.schema < schema:
        migrations[group.schema](group)
        group.schema += 1
    return True
