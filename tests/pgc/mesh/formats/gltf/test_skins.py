# SPDX-License-Identifier: Apache-2.0
"""Skinned meshes in the pose that a file's nodes have."""

import numpy as np
import pytest

from tests.pgc.mesh.formats.gltf.builder import SQUARE, Builder, corners


def skinned(joints, weights, *, bind=None, poses=({},), node=None, normals=False):
    """A square moved by joints; each pose is a node without parent."""
    builder = Builder()
    more = {"NORMAL": builder.accessor(np.tile(np.float32([0, 0, 1]), (4, 1)))} if normals else {}
    for number in range(joints.shape[1] // 4):
        columns = slice(4 * number, 4 * number + 4)
        more[f"JOINTS_{number}"] = builder.accessor(np.ascontiguousarray(joints[:, columns]))
        more[f"WEIGHTS_{number}"] = builder.accessor(
            np.ascontiguousarray(weights[:, columns]), normalized=weights.dtype.kind == "u"
        )
    part = builder.mesh(builder.square(**more))
    bones = [builder.node(**pose) for pose in poses]
    skin = {"joints": bones}
    if bind is not None:
        flat = np.asarray(bind, np.float32).transpose(0, 2, 1).reshape(-1, 16)
        skin["inverseBindMatrices"] = builder.accessor(np.ascontiguousarray(flat))
    builder.json["skins"] = [skin]
    builder.node(mesh=part, skin=0, **(node or {}))
    return builder


FIRST = np.tile(np.uint8([0, 0, 0, 0]), (4, 1))
ALL = np.tile(np.float32([1, 0, 0, 0]), (4, 1))


def moved(*places):
    matrices = np.tile(np.eye(4), (len(places), 1, 1))
    matrices[:, :3, 3] = places
    return matrices


def test_the_node_of_a_skinned_mesh_moves_nothing(tmp_path):
    builder = skinned(FIRST, ALL, node={"scale": [0.01, 0.01, 0.01], "translation": [7, 0, 0]})
    np.testing.assert_array_equal(corners(builder.load(tmp_path))[0], SQUARE[[0, 1, 2]])


def test_joints_and_inverse_bind_matrices_undo_each_other_at_the_bind_pose(tmp_path):
    builder = skinned(FIRST, ALL, bind=moved((-3, -4, -5)), poses=[{"translation": [3, 4, 5]}])
    np.testing.assert_array_equal(corners(builder.load(tmp_path))[0], SQUARE[[0, 1, 2]])


def test_a_posed_joint_moves_its_vertices(tmp_path):
    """Half of the square hangs on a joint that is turned a quarter about its own place."""
    joints = np.uint8([(0, 0, 0, 0), (1, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, 0)])
    turned = {"translation": [1, 0, 0], "rotation": [0, 0, 2**-0.5, 2**-0.5]}
    builder = skinned(joints, ALL, bind=moved((0, 0, 0), (-1, 0, 0)), poses=[{}, turned])
    found = corners(builder.load(tmp_path))
    np.testing.assert_allclose(found[0], [(0, 0, 0), (1, 0, 0), (0, 0, 0)], atol=1e-7)
    np.testing.assert_allclose(found[1, 2], SQUARE[3], atol=1e-7)


@pytest.mark.parametrize("dtype", ["f4", "u1", "u2"])
def test_weights_of_every_type_blend(tmp_path, dtype):
    scale = {"f4": 1, "u1": 255, "u2": 65535}[dtype]
    weights = (np.tile([0.25, 0.75, 0, 0], (4, 1)) * scale).astype(dtype)
    joints = np.tile(np.uint16([0, 1, 0, 0]), (4, 1))
    builder = skinned(joints, weights, poses=[{"translation": [4, 0, 0]}, {"translation": [0, 8, 0]}])
    np.testing.assert_allclose(corners(builder.load(tmp_path))[0], SQUARE[[0, 1, 2]] + [1, 6, 0], atol=0.03)


def test_a_second_set_of_joints_counts(tmp_path):
    joints = np.tile(np.uint8([0, 0, 0, 0, 1, 0, 0, 0]), (4, 1))
    weights = np.tile(np.float32([0.5, 0, 0, 0, 0.5, 0, 0, 0]), (4, 1))
    builder = skinned(joints, weights, poses=[{}, {"translation": [0, 0, 6]}])
    np.testing.assert_array_equal(corners(builder.load(tmp_path))[0], SQUARE[[0, 1, 2]] + [0, 0, 3])


def test_weights_are_brought_to_a_sum_of_one_and_none_follows_the_first(tmp_path):
    weights = np.float32([(2, 0, 0, 0), (0.1, 0, 0, 0), (0, 0, 0, 0), (1, 0, 0, 0)])
    builder = skinned(FIRST, weights, poses=[{"translation": [0, 0, 5]}])
    mesh = builder.load(tmp_path)
    np.testing.assert_allclose(corners(mesh)[0], SQUARE[[0, 1, 2]] + [0, 0, 5])
    assert mesh.notes == ("1 vertex(es) have no joint weights: they follow their first joint.",)


def test_joints_that_do_not_exist_are_counted(tmp_path):
    joints = np.tile(np.uint8([0, 9, 0, 0]), (4, 1))
    weights = np.tile(np.float32([0.5, 0.5, 0, 0]), (4, 1))
    mesh = skinned(joints, weights, poses=[{"translation": [0, 0, 5]}]).load(tmp_path)
    np.testing.assert_allclose(corners(mesh)[0], SQUARE[[0, 1, 2]] + [0, 0, 5])
    assert mesh.notes == ("4 joint number(s) of vertices do not exist and were left out.",)


def test_a_part_without_joints_stands_where_its_node_is(tmp_path):
    builder = Builder()
    bone = builder.node(translation=[9, 9, 9])
    builder.json["skins"] = [{"joints": [bone]}]
    mesh = builder.shown(builder.square(), skin=0, translation=[0, 0, 2]).load(tmp_path)
    np.testing.assert_array_equal(corners(mesh)[0], SQUARE[[0, 1, 2]] + [0, 0, 2])
    assert mesh.notes == ("1 part(s) of skinned meshes have no joints and were placed by their node.",)


def test_too_few_inverse_bind_matrices_are_counted(tmp_path):
    joints = np.tile(np.uint8([1, 0, 0, 0]), (4, 1))
    builder = skinned(joints, ALL, bind=moved((0, 0, 7)), poses=[{}, {"translation": [0, 0, 1]}])
    mesh = builder.load(tmp_path)
    np.testing.assert_array_equal(corners(mesh)[0], SQUARE[[0, 1, 2]] + [0, 0, 1])
    assert mesh.notes == ("1 joint(s) have no inverse bind matrix: none was used.",)


def test_a_mirroring_skeleton_turns_faces_and_normals_stay_outside(tmp_path):
    mesh = skinned(FIRST, ALL, poses=[{"scale": [-3, 3, 3]}], normals=True).load(tmp_path)
    face = corners(mesh)[0]
    assert np.cross(face[1] - face[0], face[2] - face[0])[2] > 0
    np.testing.assert_allclose(mesh.normals, np.tile([0, 0, 1], (4, 1)), atol=1e-6)


def test_skins_and_morph_targets_together(tmp_path):
    builder = skinned(FIRST, ALL, poses=[{"scale": [2, 2, 2]}])
    lift = builder.accessor(np.tile(np.float32([0, 0, 1]), (4, 1)))
    builder.json["meshes"][0]["primitives"][0]["targets"] = [{"POSITION": lift}]
    builder.json["meshes"][0]["weights"] = [0.5]
    np.testing.assert_array_equal(corners(builder.load(tmp_path))[0], 2 * SQUARE[[0, 1, 2]] + [0, 0, 1])


def test_the_blended_matrices_equal_a_loop(tmp_path):
    rng = np.random.default_rng(1)
    joints = rng.integers(0, 3, (4, 4)).astype(np.uint8)
    weights = rng.random((4, 4)).astype(np.float32)
    bind = np.tile(np.eye(4), (3, 1, 1)) + np.pad(rng.normal(size=(3, 3, 4)), ((0, 0), (0, 1), (0, 0)))
    bind = bind.astype(np.float32).astype(float)
    poses = [{"translation": rng.normal(size=3).tolist(), "scale": [1, 2, 3]} for _ in range(3)]
    mesh = skinned(joints, weights, bind=bind, poses=poses).load(tmp_path)
    expected = []
    for point, row, parts in zip(SQUARE, joints, weights.astype(float), strict=True):
        total = np.zeros(3)
        for joint, weight in zip(row, parts / parts.sum(), strict=True):
            place = np.diag([*poses[joint]["scale"], 1.0])
            place[:3, 3] = poses[joint]["translation"]
            total += weight * (place @ bind[joint] @ [*point, 1.0])[:3]
        expected.append(total)
    order = np.array([0, 1, 2])
    found = corners(mesh)[0] if (corners(mesh)[0] == mesh.positions[order]).all() else corners(mesh)[0][::-1]
    np.testing.assert_allclose(found, np.array(expected)[order], rtol=1e-12)
