# SPDX-License-Identifier: Apache-2.0
"""EXT_mesh_gpu_instancing: a node that shows its mesh many times."""

import numpy as np
from jaxtyping import Float64

from pgc.mesh.formats.gltf.binary.accessors import open_accessor
from pgc.mesh.formats.gltf.binary.buffers import Buffers
from pgc.mesh.formats.gltf.fields import Fields
from pgc.mesh.formats.gltf.scene import rotation_matrices

__all__ = ["count_instances", "instance_matrices"]

_TYPES = {"TRANSLATION": "VEC3", "ROTATION": "VEC4", "SCALE": "VEC3"}


def count_instances(buffers: Buffers, node: Fields) -> int:
    """Returns how many times a node says it shows its mesh; this costs no memory."""
    named = _attributes(node)
    counts = [buffers.document.root.item("accessors", index).integer("count") for index in named.values()]
    return min(counts, default=1)


def instance_matrices(buffers: Buffers, node: Fields) -> Float64[np.ndarray, "K 4 4"]:
    """Returns where the instances of a node lie in the node's own space; one identity without the extension.

    Where the lists have different lengths, against the extension's text, the shortest counts. Raises `MeshError`.
    """
    named = _attributes(node)
    if not named:
        return np.eye(4)[None]
    found = {name: open_accessor(buffers, index, (_TYPES[name],)) for name, index in named.items()}
    count = min(accessor.count for accessor in found.values())
    longest = max(accessor.count for accessor in found.values())
    buffers.document.notes.add("{count} instance(s) without a place of their own were left out.", longest - count)
    rows = np.arange(count, dtype=np.int64)
    matrices = np.broadcast_to(np.eye(4), (count, 4, 4)).copy()
    if "ROTATION" in found:
        matrices[:, :3, :3] = rotation_matrices(found["ROTATION"].floats(rows))
    if "SCALE" in found:
        matrices[:, :3, :3] *= found["SCALE"].floats(rows)[:, None, :]
    if "TRANSLATION" in found:
        matrices[:, :3, 3] = found["TRANSLATION"].floats(rows)
    return matrices


def _attributes(node: Fields) -> dict[str, int]:
    extension = node.extension("EXT_mesh_gpu_instancing")
    if extension is None:
        return {}
    named = extension.child("attributes")
    return {name: named.integer(name) for name in _TYPES if name in named}
