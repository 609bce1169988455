# SPDX-License-Identifier: GPL-3.0-or-later
"""What a texture grows out of, and what it is made of as it does."""

from __future__ import annotations

from collections.abc import Iterable

from ..choices import need_light

__all__ = ["grid_objection"]


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
