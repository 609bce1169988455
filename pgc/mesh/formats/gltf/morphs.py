# SPDX-License-Identifier: Apache-2.0
"""Morph targets at the weights that the file gives them (glTF 2.0 §3.7.2.2)."""

import numpy as np
from jaxtyping import Float64, Int64

from pgc.mesh.formats.gltf.binary.accessors import open_accessor
from pgc.mesh.formats.gltf.binary.buffers import Buffers
from pgc.mesh.formats.gltf.fields import Fields

__all__ = ["default_weights", "morphed"]

_TYPES = {2: ("VEC2",), 3: ("VEC3",), 4: ("VEC3", "VEC4")}


def default_weights(mesh: Fields, node: Fields | None) -> tuple[float, ...]:
    """Returns the weights of a mesh's targets as a node shows it: its own, else the mesh's, else none."""
    own = None if node is None else node.numbers("weights")
    return own or mesh.numbers("weights") or ()


def morphed(
    buffers: Buffers,
    primitive: Fields,
    weights: tuple[float, ...],
    name: str,
    rows: Int64[np.ndarray, " V"],
    base: Float64[np.ndarray, "V C"],
) -> Float64[np.ndarray, "V C"]:
    """Adds weight · displacement to attribute `name` of some rows; targets of weight 0 are not read.

    Raises `MeshError` for accessors that cannot be read; targets shorter than their part are left out and counted.
    """
    for index, weight in enumerate(weights[: primitive.count("targets")]):
        target = primitive.item("targets", index)
        if weight == 0.0 or name not in target:
            continue
        found = open_accessor(buffers, target.integer(name), _TYPES[base.shape[1]])
        if len(rows) and found.count <= int(rows[-1]):
            buffers.document.notes.add("{count} morph target(s) shorter than their part were left out.")
            continue
        displacement = found.floats(rows)
        base[:, : displacement.shape[1]] += weight * displacement
    return base
