# SPDX-License-Identifier: GPL-3.0-or-later
"""Which material each slot and each face of an object shows, where versions lie over each other. Plain numpy.

A version covers the whole object, one slot, or a set of faces, which get a slot of their own at the end. What it does
not cover stays as it was; the uppermost version wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Layer", "compose_faces", "cover_slot", "without_hidden"]

Indices = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Layer:
    """A version that is shown.

    Args:
        key: the version's.
        target: "object", "slot" or "selected_faces"; slot: its index, where it covers one.
        faces: bool [N], where it covers faces; None there: the mesh has changed since, so they are not known.
    """

    key: str
    target: str
    slot: int = 0
    faces: npt.NDArray[np.bool_] | None = None


def cover_slot(layers: Sequence[Layer], index: int) -> Layer | None:
    """Returns the uppermost layer that covers a slot; None: nothing does."""
    for layer in reversed(layers):
        if layer.target == "object" or (layer.target == "slot" and layer.slot == index):
            return layer
    return None


def without_hidden(layers: Sequence[Layer]) -> list[Layer]:
    """Returns the layers that something can be seen of: none below one of the whole object, of its slot or of all its
    faces.
    """
    kept: list[Layer] = []
    slots: set[int] = set()
    faces: npt.NDArray[np.bool_] | None = None
    for layer in reversed(layers):
        if layer.target == "slot" and layer.slot in slots:
            continue
        if layer.faces is not None:
            if faces is not None and not (layer.faces & ~faces).any():
                continue
            faces = layer.faces if faces is None else faces | layer.faces
        kept.insert(0, layer)
        if layer.target == "object":
            break
        if layer.target == "slot":
            slots.add(layer.slot)
    return kept


def compose_faces(
    now: Indices, base: Indices, layers: Sequence[tuple[Layer, int]], free: npt.NDArray[np.bool_]
) -> Indices:
    """Returns the material index of each face.

    Args:
        now: as it is; base: as it would be without layers.
        layers: those of faces, from the lowest up, each with its slot. One without a face set keeps what it has.
        free: faces that may change; others stay, since an artist has put them where they are.
    """
    composed = base.copy()
    for layer, slot in layers:
        composed[now == slot if layer.faces is None else layer.faces] = slot
    return np.where(free, composed, now).astype(np.int32)
