# SPDX-License-Identifier: Apache-2.0
"""Which nodes of a glTF show which mesh, and where."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from pgc.errors import MeshError
from pgc.mesh.formats.gltf.document import Document
from pgc.mesh.formats.gltf.fields import Fields

__all__ = ["ShownMesh", "World", "open_world", "rotation_matrices"]


@dataclass(frozen=True, slots=True, eq=False)
class ShownMesh:
    """A mesh and the node that shows it; `node` is None where the file has meshes but no nodes."""

    mesh: int
    node: int | None


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """The nodes of a file, each with its matrix in the world."""

    matrices: Float64[np.ndarray, "N 4 4"]
    """Of every node, also those outside the scene, which can be joints."""
    shown: tuple[ShownMesh, ...]
    """In order of node numbers."""


def open_world(document: Document) -> World:
    """Puts every node in its place and finds the meshes of the scene.

    The scene is the default one, else the first (glTF 2.0 §3.5.1 leaves that open); a file without scenes, or with
    one that shows nothing, is taken as a collection: all its root nodes, or else each mesh once. Raises `MeshError`
    where nodes form a circle.
    """
    nodes = document.root.items("nodes")
    children = [_children(document, node, len(nodes)) for node in nodes]
    parents = _parents(document, children)
    matrices = _world_matrices(document.root.source, nodes, children, parents)
    roots = [index for index, parent in enumerate(parents) if parent is None]
    shown = _shown_meshes(document, nodes, children, _scene_roots(document, roots, len(nodes)))
    everything = _shown_meshes(document, nodes, children, roots)
    if not shown:
        shown = everything
        if shown and document.root.count("scenes"):
            document.notes.add("The glTF's scene shows no mesh: all its root nodes were used.")
    document.notes.add("{count} mesh(es) of other scenes, or of none, were left out.", len(everything) - len(shown))
    if not shown and document.root.count("meshes"):
        document.notes.add("The glTF's nodes show no mesh: each of its meshes was used once.")
        return World(matrices, tuple(ShownMesh(mesh, None) for mesh in range(document.root.count("meshes"))))
    visible = _visible(nodes, children, roots)
    document.notes.add(
        "{count} hidden mesh(es) were left out (KHR_node_visibility).", sum(not visible[node] for node in shown)
    )
    return World(
        matrices, tuple(ShownMesh(nodes[node].integer("mesh"), node) for node in sorted(shown) if visible[node])
    )


def _children(document: Document, node: Fields, count: int) -> list[int]:
    found = node.integers("children")
    inside = [child for child in found if child < count]
    document.notes.add("{count} child node(s) that do not exist were left out.", len(found) - len(inside))
    return inside


def _parents(document: Document, children: list[list[int]]) -> list[int | None]:
    """The parent of every node. Of several parents, against §3.5.2, the first keeps the node."""
    parents: list[int | None] = [None] * len(children)
    for parent, own in enumerate(children):
        kept = []
        for child in own:
            if child == parent:
                raise _circle(document.root.source)
            if parents[child] is None:
                parents[child] = parent
                kept.append(child)
        document.notes.add("{count} node(s) have more than one parent: the first was used.", len(own) - len(kept))
        own[:] = kept
    return parents


def _circle(source: str) -> MeshError:
    return MeshError(f"{source}: its nodes refer to each other in a circle; export the mesh again.")


def _world_matrices(
    source: str, nodes: list[Fields], children: list[list[int]], parents: list[int | None]
) -> Float64[np.ndarray, "N 4 4"]:
    matrices = _local_matrices(nodes)
    seen = 0
    with np.errstate(over="ignore", invalid="ignore"):
        for index in _depth_first([i for i, parent in enumerate(parents) if parent is None], children):
            parent = parents[index]
            if parent is not None:
                matrices[index] = matrices[parent] @ matrices[index]
            seen += 1
    if seen < len(nodes):
        # With one parent each, what no root reaches hangs in a circle.
        raise _circle(source)
    return matrices


def _depth_first(roots: list[int], children: list[list[int]]) -> Iterator[int]:
    """Nodes, each after its parent. `children` is a forest (or a graph of which roots reach no circle)."""
    waiting = list(reversed(roots))
    while waiting:
        index = waiting.pop()
        yield index
        waiting.extend(reversed(children[index]))


def _local_matrices(nodes: list[Fields]) -> Float64[np.ndarray, "N 4 4"]:
    """Each node's own matrix; where it gives one beside a translation and so on, against §3.5.3, the matrix counts."""
    matrices = np.tile(np.eye(4), (len(nodes), 1, 1))
    turns = np.array([node.numbers("rotation", 4) or (0.0, 0.0, 0.0, 1.0) for node in nodes]).reshape(-1, 4)
    sizes = np.array([node.numbers("scale", 3) or (1.0, 1.0, 1.0) for node in nodes]).reshape(-1, 3)
    places = np.array([node.numbers("translation", 3) or (0.0, 0.0, 0.0) for node in nodes]).reshape(-1, 3)
    matrices[:, :3, :3] = rotation_matrices(turns) * sizes[:, None, :]
    matrices[:, :3, 3] = places
    for index, node in enumerate(nodes):
        flat = node.numbers("matrix", 16)
        if flat is not None:
            matrices[index] = np.array(flat).reshape(4, 4).T
    return matrices


def rotation_matrices(quaternions: Float64[np.ndarray, "N 4"]) -> Float64[np.ndarray, "N 3 3"]:
    """Returns the rotations of quaternions (x, y, z, w) of any length but 0, which means no rotation."""
    with np.errstate(invalid="ignore"):
        # Brought near 1 first, so that squares do not overflow.
        largest = np.abs(quaternions).max(axis=1, keepdims=True, initial=0.0)
        near = quaternions / np.where(largest > 0, largest, 1.0)
        length = np.linalg.norm(near, axis=1, keepdims=True)
        unit = np.where(length > 0, near / np.where(length > 0, length, 1.0), np.array([0.0, 0.0, 0.0, 1.0]))
    x, y, z, w = unit.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows).transpose(2, 0, 1)


def _scene_roots(document: Document, roots: list[int], node_count: int) -> list[int]:
    root = document.root
    if not root.count("scenes"):
        return roots
    index = root.integer("scene", 0)
    if index >= root.count("scenes"):
        document.notes.add("The glTF's default scene does not exist: its first scene was used.")
        index = 0
    found = root.item("scenes", index).integers("nodes")
    inside = [node for node in found if node < node_count]
    document.notes.add("{count} node(s) of the scene do not exist and were left out.", len(found) - len(inside))
    return inside


def _shown_meshes(
    document: Document, nodes: list[Fields], children: list[list[int]], roots: list[int]
) -> dict[int, None]:
    """Nodes with a mesh below some roots, each once."""
    found: dict[int, None] = {}
    seen: set[int] = set()
    waiting = list(reversed(roots))
    while waiting:
        index = waiting.pop()
        if index in seen:
            continue
        seen.add(index)
        waiting.extend(reversed(children[index]))
        if "mesh" in nodes[index]:
            found[index] = None
    return found


def _visible(nodes: list[Fields], children: list[list[int]], roots: list[int]) -> list[bool]:
    """Whether nodes show: KHR_node_visibility hides a node with all below it."""
    visible = [True] * len(nodes)
    for index in _depth_first(roots, children):
        hint = nodes[index].extension("KHR_node_visibility")
        visible[index] = visible[index] and (hint is None or hint.flag("visible", True))
        for child in children[index]:
            visible[child] = visible[child] and visible[index]
    return visible
