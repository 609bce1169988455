# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import trimesh

from blender_addon.uv_measure.orientation import is_turned_inwards


def told(mesh: trimesh.Trimesh) -> bool:
    return is_turned_inwards(mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32))


def turned(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    other = mesh.copy()
    other.invert()
    return other


def apart(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Each triangle has its own vertices, as in many files."""
    other = mesh.copy()
    other.unmerge_vertices()
    return other


BODIES = {
    "box": trimesh.creation.box((2.0, 1.0, 3.0)),
    "ring": trimesh.creation.torus(2.0, 0.5),
    "far away": trimesh.creation.box((1.0, 1.0, 1.0)).apply_translation((3000.0, -2000.0, 5000.0)),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("cut", [lambda mesh: mesh, apart], ids=["whole", "cut"])
def test_a_closed_body_is_told_by_its_volume(body, cut):
    assert not told(cut(body))
    assert told(cut(turned(body)))


def test_a_cavity_is_no_mesh_that_is_turned():
    outer, inner = trimesh.creation.box((2.0, 2.0, 2.0)), trimesh.creation.box((1.0, 1.0, 1.0))
    assert not told(trimesh.util.concatenate([outer, turned(inner)]))
    assert told(trimesh.util.concatenate([turned(outer), inner]))


def test_what_is_open_says_nothing():
    box = trimesh.creation.box((2.0, 2.0, 2.0))
    half = turned(trimesh.Trimesh(box.vertices, box.faces[2:], process=False))
    assert not told(half)
    # A closed part beside it is still known.
    assert told(trimesh.util.concatenate([half, turned(trimesh.creation.icosphere(1))]))


def test_what_is_wound_both_ways_says_nothing():
    box = turned(trimesh.creation.box((2.0, 2.0, 2.0)))
    box.faces[0] = box.faces[0][::-1]
    assert not told(box)


def test_a_mesh_without_faces_or_area_is_not_turned():
    assert not is_turned_inwards(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))
    assert not is_turned_inwards(np.zeros((3, 3), np.float32), np.array([[0, 1, 2]], np.int32))
