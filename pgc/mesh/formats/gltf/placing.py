# SPDX-License-Identifier: Apache-2.0
"""Parts of meshes put in place: by nodes and their instances, or by the joints of a skin."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

from pgc.mesh.checks import check_triangle_total
from pgc.mesh.formats.gltf.binary.buffers import Buffers
from pgc.mesh.formats.gltf.instancing import count_instances, instance_matrices
from pgc.mesh.formats.gltf.morphs import default_weights
from pgc.mesh.formats.gltf.primitives import Part, read_part
from pgc.mesh.formats.gltf.scene import ShownMesh, World
from pgc.mesh.formats.gltf.skins import blended_matrices, joint_matrices
from pgc.mesh.formats.gltf.topology import count_triangles

__all__ = ["PlacedPart", "placed_parts"]


_CHUNK = 1 << 16
"""Vertices that joints move at once: each needs a matrix."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PlacedPart:
    """A part as often as the scene shows it: K copies of V vertices and F triangles."""

    part: Part
    positions: Float64[np.ndarray, "K V 3"]
    faces: Int64[np.ndarray, "K F 3"]
    """Into one copy's vertices; turned where a copy is mirrored, as glTF 2.0 §3.7.4 says."""
    normals: Float32[np.ndarray, "K V 3"] | None
    names: tuple[str, ...]
    """Of the node that shows each copy, K of them; its mesh's where the node has none."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Nodes that show the same mesh with the same morph weights; a skinned node has a group of its own."""

    mesh: int
    weights: tuple[float, ...]
    skinned_node: int | None


def placed_parts(buffers: Buffers, world: World) -> list[PlacedPart]:
    """Returns all triangles of a scene: by mesh in order of the first node that shows it. Raises `MeshError`, for too
    many triangles before anything is decoded."""
    _check_total(buffers, world)
    groups: dict[_Group, list[int | None]] = {}
    for shown in world.shown:
        groups.setdefault(_group(buffers, shown), []).append(shown.node)
    return [placed for group, nodes in groups.items() for placed in _place_group(buffers, world, group, nodes)]


def _check_total(buffers: Buffers, world: World) -> None:
    root = buffers.document.root
    by_mesh: dict[int, int] = {}
    total = 0
    for shown in world.shown:
        if shown.mesh not in by_mesh:
            primitives = root.item("meshes", shown.mesh).items("primitives")
            by_mesh[shown.mesh] = sum(count_triangles(buffers, primitive) for primitive in primitives)
        copies = 1 if shown.node is None else count_instances(buffers, root.item("nodes", shown.node))
        total += by_mesh[shown.mesh] * copies
    check_triangle_total(root.source, total)


def _group(buffers: Buffers, shown: ShownMesh) -> _Group:
    root = buffers.document.root
    node = None if shown.node is None else root.item("nodes", shown.node)
    skinned = shown.node if node is not None and "skin" in node else None
    return _Group(shown.mesh, default_weights(root.item("meshes", shown.mesh), node), skinned)


def _place_group(buffers: Buffers, world: World, group: _Group, nodes: list[int | None]) -> list[PlacedPart]:
    root = buffers.document.root
    primitives = root.item("meshes", group.mesh).items("primitives")
    parts = [part for primitive in primitives if (part := read_part(buffers, primitive, group.weights)) is not None]
    if not parts:
        return []
    by_node = [_node_matrices(buffers, world, node) for node in nodes]
    matrices = np.concatenate(by_node)
    if len(matrices) == 0:
        return []
    names = tuple(
        name
        for node, copies in zip(nodes, by_node, strict=True)
        for name in [_name(buffers, group.mesh, node)] * len(copies)
    )
    if group.skinned_node is None:
        return [_moved(part, matrices, names) for part in parts]
    skin = joint_matrices(buffers, root.item("nodes", group.skinned_node).integer("skin"), world.matrices)
    return [_skinned(buffers, part, skin, names) or _moved(part, matrices, names) for part in parts]


def _name(buffers: Buffers, mesh: int, node: int | None) -> str:
    root = buffers.document.root
    own = "" if node is None else root.item("nodes", node).text("name")
    return own or root.item("meshes", mesh).text("name")


def _node_matrices(buffers: Buffers, world: World, node: int | None) -> Float64[np.ndarray, "K 4 4"]:
    if node is None:
        return np.eye(4)[None]
    with np.errstate(over="ignore", invalid="ignore"):
        return world.matrices[node] @ instance_matrices(buffers, buffers.document.root.item("nodes", node))


def _moved(part: Part, matrices: Float64[np.ndarray, "K 4 4"], names: tuple[str, ...]) -> PlacedPart:
    """A part by each of some matrices; identity leaves bits alone."""
    copies = len(matrices)
    faces = np.repeat(part.faces[None], copies, axis=0)
    if np.array_equal(matrices, np.broadcast_to(np.eye(4), matrices.shape)):
        positions = part.positions[None] if copies == 1 else np.repeat(part.positions[None], copies, axis=0)
        normals = None if part.normals is None else np.repeat(_as_float32(part.normals)[None], copies, axis=0)
        return PlacedPart(part=part, positions=positions, faces=faces, normals=normals, names=names)
    linear = matrices[:, :3, :3]
    normals = None
    with np.errstate(over="ignore", invalid="ignore"):
        positions = _transformed(part.positions, linear)
        positions += matrices[:, None, :3, 3]
        mirrored = np.linalg.det(linear) < 0
        if part.normals is not None:
            normals = _as_float32(_unit(_transformed(part.normals, _normal_matrices(linear))))
    faces[mirrored] = faces[mirrored, :, ::-1]
    return PlacedPart(part=part, positions=positions, faces=faces, normals=normals, names=names)


def _transformed(
    vectors: Float64[np.ndarray, "V 3"], linear: Float64[np.ndarray, "K 3 3"]
) -> Float64[np.ndarray, "K V 3"]:
    """Vectors by each of some linear maps."""
    found = np.empty((len(linear), len(vectors), 3))
    if len(vectors) < len(linear):
        return np.matmul(vectors, np.ascontiguousarray(linear.transpose(0, 2, 1)), out=found)
    for index, each in enumerate(linear):
        np.matmul(vectors, np.ascontiguousarray(each.T), out=found[index])
    return found


def _skinned(
    buffers: Buffers, part: Part, skin: Float64[np.ndarray, "J 4 4"], names: tuple[str, ...]
) -> PlacedPart | None:
    """A part in the pose of its joints; None where the part has no joints, so that its node places it."""
    if part.joints is None or part.weights is None or part.joints.shape != part.weights.shape or len(skin) == 0:
        buffers.document.notes.add("{count} part(s) of skinned meshes have no joints and were placed by their node.")
        return None
    positions = np.empty_like(part.positions)
    normals = None if part.normals is None else np.empty_like(part.normals)
    mirrored = 0
    for start in range(0, len(positions), _CHUNK):
        rows = slice(start, start + _CHUNK)
        matrices = blended_matrices(buffers, part.joints[rows], part.weights[rows], skin)
        linear = matrices[:, :, :3]
        with np.errstate(over="ignore", invalid="ignore"):
            positions[rows] = np.einsum("vij,vj->vi", linear, part.positions[rows]) + matrices[:, :, 3]
            mirrored += int((np.linalg.det(linear) < 0).sum())
            if part.normals is not None and normals is not None:
                turned = np.einsum("vij,vj->vi", _normal_matrices(linear), part.normals[rows])
                normals[rows] = _unit(turned)
    # A skeleton that mirrors, mirrors most of the vertices.
    faces = part.faces[:, ::-1] if 2 * mirrored > len(positions) else part.faces
    return PlacedPart(
        part=part,
        positions=positions[None],
        faces=faces[None],
        normals=None if normals is None else _as_float32(normals)[None],
        names=names[:1],
    )


def _normal_matrices(linear: Float64[np.ndarray, "K 3 3"]) -> Float64[np.ndarray, "K 3 3"]:
    """Inverse transposes up to a positive factor, also of matrices that have no inverse: the cofactors."""
    a, b, c = linear[:, :, 0], linear[:, :, 1], linear[:, :, 2]
    cofactors = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=2)
    return cofactors * np.where(np.linalg.det(linear) < 0, -1.0, 1.0)[:, None, None]


def _unit(vectors: Float64[np.ndarray, "*B 3"]) -> Float64[np.ndarray, "*B 3"]:
    """Vectors brought to unit length, in place; zeros stay."""
    largest = np.maximum(np.maximum(np.abs(vectors[..., 0]), np.abs(vectors[..., 1])), np.abs(vectors[..., 2]))
    vectors /= np.where(largest > 0, largest, 1.0)[..., None]
    length = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))
    vectors /= np.where(length > 0, length, 1.0)[..., None]
    return vectors


def _as_float32(normals: Float64[np.ndarray, "*B 3"]) -> Float32[np.ndarray, "*B 3"]:
    with np.errstate(over="ignore", invalid="ignore"):
        return normals.astype(np.float32)
