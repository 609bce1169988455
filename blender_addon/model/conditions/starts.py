# SPDX-License-Identifier: GPL-3.0-or-later
"""What a texture grows out of, and what it is made of as it does."""

from __future__ import annotations

from collections.abc import Iterable

from ..choices import need_light

__all__ = ["grid_objection", "wished_warm_start"]


def grid_objection(*, maps: Iterable[str], target: str, begins: bool) -> str:
    """Returns why a hash grid cannot be taken; "": it can.

    Args:
        begins: whether the texture grows out of another one, or keeps some of it.
    """
    if need_light(maps):
        return "A hash grid is for base color alone"
    if begins:
        return "A hash grid starts anew and keeps nothing"
    return "" if target in ("object", "objects") else "A hash grid is for whole objects"


def wished_warm_start(choice: str, *, grid: bool) -> bool | None:
    """Returns what a job says of a warm start; None where it is left to the model, and where there can be none."""
    return None if choice == "preset" or grid else choice == "on"
