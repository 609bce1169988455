# SPDX-License-Identifier: Apache-2.0
"""Skins: positions in the pose that the file's nodes have (glTF 2.0 §3.7.3).

The node that shows a skinned mesh puts nothing in place: joints do. A vertex is moved by the mean of its joints'
matrices (joint in the world · inverse bind matrix), weighted by its weights.
"""

import numpy as np
from jaxtyping import Float64

from pgc.mesh.formats.gltf.binary.accessors import open_accessor
from pgc.mesh.formats.gltf.binary.buffers import Buffers

__all__ = ["blended_matrices", "joint_matrices"]


def joint_matrices(
    buffers: Buffers, skin_index: int, world: Float64[np.ndarray, "N 4 4"]
) -> Float64[np.ndarray, "J 4 4"]:
    """Returns the matrix of each joint of a skin, from bind space to the world. Raises `MeshError`."""
    skin = buffers.document.root.item("skins", skin_index)
    joints = skin.integers("joints")
    for joint in joints:
        # The sentence for a node that does not exist.
        buffers.document.root.item("nodes", joint)
    matrices = world[joints]
    index = skin.optional_integer("inverseBindMatrices")
    if index is None:
        return matrices
    found = open_accessor(buffers, index, ("MAT4",))
    count = min(found.count, len(joints))
    buffers.document.notes.add("{count} joint(s) have no inverse bind matrix: none was used.", len(joints) - count)
    inverse = np.broadcast_to(np.eye(4), (len(joints), 4, 4)).copy()
    inverse[:count] = found.floats(np.arange(count, dtype=np.int64)).reshape(-1, 4, 4).transpose(0, 2, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        return matrices @ inverse


def blended_matrices(
    buffers: Buffers,
    joints: Float64[np.ndarray, "V J"],
    weights: Float64[np.ndarray, "V J"],
    matrices: Float64[np.ndarray, "K 4 4"],
) -> Float64[np.ndarray, "V 3 4"]:
    """Returns the matrix of each vertex. Weights are brought to a sum of 1; a vertex without any follows its first
    joint."""
    notes = buffers.document.notes
    inside = (joints >= 0) & (joints < len(matrices))
    notes.add(
        "{count} joint number(s) of vertices do not exist and were left out.", int((~inside & (weights != 0)).sum())
    )
    joints = np.where(inside, joints, 0.0).astype(np.int64)
    weights = np.where(inside & np.isfinite(weights), weights, 0.0)
    total = weights.sum(axis=1, keepdims=True)
    none = np.abs(total[:, 0]) < 1e-12
    notes.add("{count} vertex(es) have no joint weights: they follow their first joint.", int(none.sum()))
    weights = np.where(none[:, None], np.eye(1, weights.shape[1]), weights / np.where(none[:, None], 1.0, total))
    blended = np.zeros((len(joints), 12))
    flat = matrices[:, :3].reshape(-1, 12)
    with np.errstate(over="ignore", invalid="ignore"):
        for column in range(joints.shape[1]):
            blended += weights[:, column, None] * flat[joints[:, column]]
    return blended.reshape(-1, 3, 4)
