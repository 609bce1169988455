# SPDX-License-Identifier: Apache-2.0
"""Which meshes of a glTF are shown, and where."""

import numpy as np
import pytest

from pgc.errors import MeshError
from tests.pgc.mesh.formats.gltf.builder import SQUARE, Builder, corners


def bounds(mesh):
    used = corners(mesh).reshape(-1, 3)
    return used.min(axis=0).tolist(), used.max(axis=0).tolist()


def test_a_matrix_is_column_major_and_parents_come_first(tmp_path):
    builder = Builder()
    child = builder.node(root=False, mesh=builder.mesh(builder.square()), scale=[2, 3, 1])
    builder.node(matrix=[0, 1, 0, 0, -1, 0, 0, 0, 0, 0, 1, 0, 10, 20, 30, 1], children=[child])
    mesh = builder.load(tmp_path)
    assert bounds(mesh) == ([7, 20, 30], [10, 22, 30])


def test_identity_leaves_every_bit(tmp_path):
    positions = np.array([(0.1, -0.0, 1e-40), (1 / 3, 2e29, 0), (0, 1, 1e-7)], np.float32)
    builder = Builder()
    mesh = builder.shown({"attributes": {"POSITION": builder.accessor(positions)}}).load(tmp_path)
    np.testing.assert_array_equal(mesh.positions.astype(np.float32).view(np.uint32), positions.view(np.uint32))


def test_far_places_keep_what_float32_would_lose(tmp_path):
    builder = Builder()
    place = np.array([448262.1, 5411932.2, 100.05])
    mesh = builder.shown(builder.square(), translation=place.tolist()).load(tmp_path)
    np.testing.assert_array_equal(corners(mesh)[0], place + SQUARE[[0, 1, 2]].astype(float))


def test_a_mirroring_node_turns_faces_and_normals_stay_outside(tmp_path):
    builder = Builder()
    normals = builder.accessor(np.tile(np.float32([0, 0, 1]), (4, 1)))
    mesh = builder.shown(builder.square(NORMAL=normals), scale=[-2, 1, 1]).load(tmp_path)
    face = corners(mesh)[0]
    assert np.cross(face[1] - face[0], face[2] - face[0])[2] > 0
    np.testing.assert_allclose(mesh.normals, np.tile([0, 0, 1], (4, 1)))


def test_normals_of_tiny_and_flattened_nodes_stay_of_unit_length(tmp_path):
    builder = Builder()
    normals = builder.accessor(np.tile(np.float32([0.6, 0, 0.8]), (4, 1)))
    part = builder.mesh(builder.square(NORMAL=normals))
    builder.node(mesh=part, scale=[1e-9, 1e-9, 1e-9])
    builder.node(mesh=part, scale=[1, 1, 0])
    mesh = builder.load(tmp_path)
    np.testing.assert_allclose(mesh.normals[:4], np.tile([0.6, 0, 0.8], (4, 1)), atol=1e-6)
    np.testing.assert_allclose(mesh.normals[4:], np.tile([0, 0, 1], (4, 1)), atol=1e-6)


@pytest.mark.parametrize("length", [3, 1e-200, 1e300])
def test_a_quaternion_need_not_be_of_unit_length(tmp_path, length):
    builder = Builder()
    mesh = builder.shown(builder.square(), rotation=[0, 0, length, length]).load(tmp_path)
    np.testing.assert_allclose(bounds(mesh), ([-1, 0, 0], [0, 1, 0]), atol=1e-15)
    builder = Builder()
    assert bounds(builder.shown(builder.square(), rotation=[0, 0, 0, 0]).load(tmp_path)) == ([0, 0, 0], [1, 1, 0])


def two_scenes():
    builder = Builder()
    part = builder.mesh(builder.square())
    builder.node(mesh=part)
    builder.node(mesh=part, translation=[5, 0, 0], root=False)
    builder.json["scenes"].append({"nodes": [1]})
    return builder


def test_the_default_scene_is_taken_and_others_are_counted(tmp_path):
    builder = two_scenes()
    builder.json["scene"] = 1
    mesh = builder.load(tmp_path)
    assert bounds(mesh)[0] == [5, 0, 0]
    assert mesh.notes == ("1 mesh(es) of other scenes, or of none, were left out.",)
    del builder.json["scene"]
    assert bounds(builder.load(tmp_path)) == ([0, 0, 0], [1, 1, 0]), "without a default, the first scene"


def test_a_default_scene_that_does_not_exist_is_the_first(tmp_path):
    builder = two_scenes()
    builder.json["scene"] = 7
    mesh = builder.load(tmp_path)
    assert bounds(mesh) == ([0, 0, 0], [1, 1, 0])
    assert "does not exist" in mesh.notes[0]


@pytest.mark.parametrize("scenes", [None, [], [{}]])
def test_a_collection_without_a_scene_shows_all_its_roots(tmp_path, scenes):
    builder = two_scenes()
    del builder.json["scene"]
    if scenes is None:
        del builder.json["scenes"]
    else:
        builder.json["scenes"] = scenes
    mesh = builder.load(tmp_path)
    assert bounds(mesh) == ([0, 0, 0], [6, 1, 0])
    assert any("shows no mesh" in note for note in mesh.notes) == bool(scenes)


def test_meshes_without_any_node_are_used_once_each(tmp_path):
    builder = Builder()
    builder.mesh(builder.square())
    builder.mesh(builder.square())
    mesh = builder.load(tmp_path)
    assert len(mesh.polygon_sizes) == 4
    assert mesh.notes[-1] == "The glTF's nodes show no mesh: each of its meshes was used once."


def test_the_same_mesh_under_many_nodes_comes_as_often(tmp_path):
    builder = Builder()
    part = builder.mesh(builder.square())
    for x in range(5):
        builder.node(mesh=part, translation=[2 * x, 0, 0], scale=[1, 1, -1 if x == 3 else 1])
    mesh = builder.load(tmp_path)
    np.testing.assert_array_equal(corners(mesh)[::2, :, 0].min(axis=1), [0, 2, 4, 6, 8])
    normals = np.cross(corners(mesh)[:, 1] - corners(mesh)[:, 0], corners(mesh)[:, 2] - corners(mesh)[:, 0])
    assert (normals[:, 2] > 0).tolist() == [True] * 6 + [False] * 2 + [True] * 2, "mirrored through its own plane"


def test_hidden_nodes_hide_what_is_below_them(tmp_path):
    builder = Builder()
    part = builder.mesh(builder.square())
    child = builder.node(mesh=part, root=False)
    builder.node(children=[child], extensions={"KHR_node_visibility": {"visible": False}})
    builder.node(mesh=part, translation=[3, 0, 0], extensions={"KHR_node_visibility": {"visible": True}})
    mesh = builder.load(tmp_path)
    assert bounds(mesh) == ([3, 0, 0], [4, 1, 0])
    assert mesh.notes == ("1 hidden mesh(es) were left out (KHR_node_visibility).",)


@pytest.mark.parametrize("children", [[[0]], [[1], [0]], [[1], [2], [0]]])
def test_circles_of_nodes_are_refused(tmp_path, children):
    builder = Builder()
    part = builder.mesh(builder.square())
    for own in children:
        builder.node(mesh=part, children=own)
    with pytest.raises(MeshError, match="circle"):
        builder.load(tmp_path)


def test_a_circle_below_a_root_is_cut_and_counted(tmp_path):
    builder = Builder()
    part = builder.mesh(builder.square())
    for own in ([1], [2], [1]):
        builder.node(mesh=part, children=own, root=False)
    builder.json["scenes"][0]["nodes"] = [0]
    mesh = builder.load(tmp_path)
    assert len(mesh.polygon_sizes) == 6
    assert mesh.notes == ("1 node(s) have more than one parent: the first was used.",)


def test_a_node_of_two_parents_is_used_once(tmp_path):
    """A doubling chain of such nodes would be 2^40 meshes."""
    builder = Builder()
    builder.node(mesh=builder.mesh(builder.square()), root=False)
    for index in range(40):
        builder.node(children=[index, index], root=index == 39)
    mesh = builder.load(tmp_path)
    assert len(mesh.polygon_sizes) == 2
    assert mesh.notes == ("40 node(s) have more than one parent: the first was used.",)


@pytest.mark.slow
def test_a_chain_of_nodes_as_deep_as_a_file_allows(tmp_path):
    builder = Builder()
    builder.node(mesh=builder.mesh(builder.square()), translation=[1, 0, 0], root=False)
    for index in range(1500):
        builder.node(children=[index], translation=[1, 0, 0], root=index == 1499)
    builder.json["scenes"][0]["nodes"] = list(range(1500, -1, -1))
    assert bounds(builder.load(tmp_path))[0] == [1501, 0, 0]


def test_children_and_roots_that_do_not_exist_are_counted(tmp_path):
    builder = Builder()
    builder.node(mesh=builder.mesh(builder.square()), children=[77])
    builder.json["scenes"][0]["nodes"].append(12)
    assert builder.load(tmp_path).notes == (
        "1 child node(s) that do not exist were left out.",
        "1 node(s) of the scene do not exist and were left out.",
    )


def instanced(builder, **attributes):
    extension = {"attributes": {name: builder.accessor(values) for name, values in attributes.items()}}
    return builder.shown(builder.square(), translation=[0, 0, 1], extensions={"EXT_mesh_gpu_instancing": extension})


def test_instances_are_copies_in_the_node_s_own_space(tmp_path):
    places = np.array([(0, 0, 0), (10, 0, 0), (20, 0, 0)], np.float32)
    turns = np.array([(0, 0, 0, 127), (0, 0, 127, 0), (0, 0, 0, 127)], np.int8)
    sizes = np.array([(1, 1, 1), (2, 1, 1), (1, -1, 1)], np.float32)
    builder = instanced(Builder(), TRANSLATION=places, ROTATION=turns, SCALE=sizes)
    builder.json["accessors"][-2]["normalized"] = True
    builder.json["extensionsRequired"] = ["EXT_mesh_gpu_instancing"]
    mesh = builder.load(tmp_path)
    found = corners(mesh).reshape(3, 2, 3, 3)
    np.testing.assert_allclose(found.min(axis=(1, 2)), [(0, 0, 1), (8, -1, 1), (20, -1, 1)], atol=1e-6)
    np.testing.assert_allclose(found.max(axis=(1, 2)), [(1, 1, 1), (10, 0, 1), (21, 0, 1)], atol=1e-6)
    normals = np.cross(found[:, :, 1] - found[:, :, 0], found[:, :, 2] - found[:, :, 0])
    assert (normals[..., 2] > 0).all(), "a mirrored instance turns its faces"


def test_instances_of_different_counts_are_as_many_as_the_shortest(tmp_path):
    mesh = instanced(Builder(), TRANSLATION=np.eye(3, dtype="f4"), SCALE=np.ones((2, 3), "f4")).load(tmp_path)
    assert len(mesh.polygon_sizes) == 4
    assert mesh.notes == ("1 instance(s) without a place of their own were left out.",)


def test_too_many_instances_are_refused_before_they_are_made(tmp_path):
    builder = Builder()
    count = builder.raw_accessor(componentType=5126, count=4_000_000_000, type="VEC3")
    extension = {"attributes": {"TRANSLATION": count}}
    builder.shown(builder.square(), extensions={"EXT_mesh_gpu_instancing": extension})
    with pytest.raises(MeshError, match="8,000,000,000 triangles"):
        builder.load(tmp_path)
