# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from pgc.cameras import Camera
from pgc.cameras.matrices import look_at_matrix, orthographic_matrix, perspective_matrix
from pgc.errors import CameraError

POSE = look_at_matrix((1.0, -1.5, 0.7), (0.1, 0.0, -0.2))


def test_look_at_gives_opengl_axes_in_a_z_up_world():
    camera = Camera.look_at((0, -3, 0), focal=1.0)
    expected = [[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, -3], [0, 0, 0, 1]]
    assert camera.world_to_camera.tolist() == expected
    assert camera.position.tolist() == [0, -3, 0]
    assert camera.backward.tolist() == [0, -1, 0]


def test_the_papers_focal_length():
    # Section 5.1: focal 1.025 shows +0.5 X at distance 2.25 at ndc 2 * 1.025 * 0.5 / 2.25 = 0.4556, and not mirrored.
    camera = Camera.look_at((0, -2.25, 0), focal=1.025)
    assert camera.projection[1, 1] == pytest.approx(2.05)
    assert camera.project(np.array([[0.5, 0.0, 0.0]]))[0, :2] == pytest.approx([0.45556, 0.0], abs=1e-5)
    assert camera.project(np.array([[0.0, 0.0, 0.5]]))[0, :2] == pytest.approx([0.0, 0.45556], abs=1e-5)
    # The same at a polar angle of 60 degrees: +0.5 up is at .4438.
    polar = math.radians(60)
    tilted = Camera.look_at((0, -2.25 * math.sin(polar), 2.25 * math.cos(polar)), focal=1.025)
    assert tilted.project(np.array([[0.0, 0.0, 0.5]]))[0, :2] == pytest.approx([0.0, 0.4438], abs=1e-4)


def test_field_of_view_reaches_the_picture_edge():
    camera = Camera.look_at((0, 0, 2), (0, 0, 0), (0, 1, 0), fov_y=math.radians(60), aspect=2.0)
    edge = 2 * math.tan(math.radians(30))
    points = np.array([[0, edge, 0], [2 * edge, 0, 0]])
    assert camera.project(points)[:, :2] == pytest.approx(np.array([[0, 1], [1, 0]]), abs=1e-6)


def test_orthographic_shows_its_height():
    camera = Camera.orthographic((0, -5, 0), height=3.0, aspect=2.0)
    assert camera.is_orthographic
    assert camera.project(np.array([[3.0, 1.0, 1.5]]))[0, :2] == pytest.approx([1, 1])


@pytest.mark.parametrize(
    "projection",
    [
        perspective_matrix(0.9, aspect=1.5, shift=(0.2, -0.1)),
        orthographic_matrix(2.5, aspect=1.5, shift=(0.2, -0.1)),
    ],
)
def test_unproject_undoes_project(projection):
    camera = Camera(POSE, projection, 1.5)
    points = np.random.default_rng(3).uniform(-0.8, 0.8, (50, 3))
    assert camera.unproject(camera.project(points)) == pytest.approx(points, abs=1e-9)


@pytest.mark.parametrize(
    "projection", [perspective_matrix(0.9, near=0.2, far=7.0), orthographic_matrix(2.0, near=0.2, far=7.0)]
)
def test_clip_range_is_what_the_matrix_was_made_with(projection):
    assert Camera(POSE, projection, 1.0).clip_range == pytest.approx((0.2, 7.0), rel=1e-5)


def test_shift_moves_the_axis_in_the_picture():
    for projection in (perspective_matrix(1.0, shift=(0.25, -0.5)), orthographic_matrix(2.0, shift=(0.25, -0.5))):
        camera = Camera(look_at_matrix((0, -2, 0), (0, 0, 0)), projection, 1.0)
        assert camera.project(np.zeros((1, 3)))[0, :2] == pytest.approx([0.25, -0.5])


@pytest.mark.parametrize("eye", [(0, 0, 2), (0, 0, -2), (1e-9, 0, 2)])
def test_straight_from_above_and_below_has_a_picture(eye):
    camera = Camera.look_at(eye, focal=1.0)
    assert np.isfinite(camera.world_to_camera).all()
    assert np.linalg.det(camera.world_to_camera[:3, :3]) == pytest.approx(1.0, abs=1e-6)
    # As Blender's top and bottom views do, +X points to the right or +Y up.
    assert camera.project(np.array([[0.0, 0.5, 0.0]]))[0, 1] > 0.1


def test_an_up_vector_along_the_view_that_is_y_falls_to_x():
    camera = Camera.look_at((0, 2, 0), (0, 0, 0), (0, 1, 0), focal=1.0)
    assert camera.world_to_camera[1, :3].tolist() == pytest.approx([1, 0, 0])


def test_equal_cameras_have_equal_keys_and_others_do_not():
    camera = Camera.look_at((1, 2, 0.5), focal=1.0)
    assert camera.key() == Camera.look_at((1, 2, 0.5), focal=1.0).key()
    others = [
        Camera.look_at((1, 2, 0.50001), focal=1.0),
        Camera.look_at((1, 2, 0.5), focal=1.00001),
        Camera(camera.world_to_camera, camera.projection, 1.5),
    ]
    assert len({camera.key(), *(other.key() for other in others)}) == 4


def test_matrices_are_copies_that_nobody_can_change():
    pose = POSE.copy()
    camera = Camera(pose, perspective_matrix(1.0), 1.0)
    pose[0, 3] = 99
    assert camera.world_to_camera[0, 3] == POSE[0, 3]
    with pytest.raises(ValueError, match="read-only"):
        camera.projection[0, 0] = 2


def changed(matrix: np.ndarray, row: int, column: int, value: float) -> np.ndarray:
    result = matrix.copy()
    result[row, column] = value
    return result


LENS = perspective_matrix(1.0)


@pytest.mark.parametrize(
    ("pose", "lens", "aspect", "words"),
    [
        (changed(POSE, 0, 0, math.nan), LENS, 1.0, "finite 4x4"),
        (POSE * np.float32(2), LENS, 1.0, "scales"),
        (np.diag([-1, 1, 1, 1]).astype(np.float32), LENS, 1.0, "mirrored"),
        (POSE, changed(LENS, 0, 0, math.inf), 1.0, "finite 4x4"),
        (POSE, changed(LENS, 3, 2, 1.0), 1.0, "last row"),
        (POSE, changed(LENS, 1, 1, -2.0), 1.0, "mirrors or flattens"),
        (POSE, changed(LENS, 2, 0, 0.1), 1.0, "tilted"),
        (POSE, changed(LENS, 2, 3, 0.5), 1.0, "near"),
        (POSE, LENS, 0.0, "aspect"),
    ],
)
def test_cameras_that_show_nothing_are_refused(pose, lens, aspect, words):
    with pytest.raises(CameraError, match=words):
        Camera(pose, lens, aspect)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"focal": 1.0, "fov_y": 1.0}, "exactly one"),
        ({}, "exactly one"),
        ({"fov_y": 4.0}, "between 0 and pi"),
        ({"focal": 0.0}, "above 0"),
        ({"focal": 1.0, "target": (1.0, 0.0, 0.0)}, "different finite points"),
        ({"focal": 1.0, "aspect": -1.0}, "aspect"),
    ],
)
def test_look_at_refuses_what_gives_no_camera(arguments, words):
    with pytest.raises(CameraError, match=words):
        Camera.look_at((1.0, 0.0, 0.0), **arguments)


def test_matrices_refuse_impossible_frames():
    with pytest.raises(CameraError, match="0 < near < far"):
        perspective_matrix(1.0, near=2.0, far=1.0)
    with pytest.raises(CameraError, match="height"):
        orthographic_matrix(0.0)
