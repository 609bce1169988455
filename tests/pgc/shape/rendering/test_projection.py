# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from pgc.cameras import Camera
from pgc.cameras.matrices import look_at_matrix, perspective_matrix
from pgc.shape.rendering.projection import clip_positions, picture_positions, pixel_weights
from pgc.shape.rendering.renderer import RayRenderer
from tests.pgc.shape.meshes import ball, moving

CAMERAS = [
    Camera.look_at((0.4, -1.9, 0.7), focal=0.9),
    Camera.orthographic((0.2, 0.5, -2.0), height=1.9),
    Camera(look_at_matrix((-1.2, -1.1, 1.6), (0.0, 0.0, 0.0)), perspective_matrix(1.1, shift=(0.1, -0.05)), 1.0),
]


def test_vertices_are_where_the_camera_says():
    positions, _ = ball(1, dtype=torch.float64)
    found = picture_positions(clip_positions(positions, CAMERAS), (40, 40))
    for view, camera in zip(found, CAMERAS, strict=True):
        ndc = camera.project(positions.numpy())
        expected = np.stack([(ndc[:, 0] + 1) * 20, (1 - ndc[:, 1]) * 20], axis=1)
        np.testing.assert_allclose(view.numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("camera", CAMERAS)
def test_weights_are_those_of_the_rays(camera):
    positions, faces = ball(1)
    sight = RayRenderer("cpu").look(moving(positions, faces), [camera], (33, 33))
    buffer, seen = sight.gbuffer, sight.gbuffer.mask[:, 0]
    assert seen.sum() > 200
    torch.testing.assert_close(sight.weights[seen], buffer.barycentrics.movedim(1, -1)[seen], atol=2e-3, rtol=0)
    assert not sight.weights[~seen].any()
    place, at_rays = sight.position.movedim(1, -1)[seen], buffer.position.movedim(1, -1)[seen]
    torch.testing.assert_close(place, at_rays, atol=2e-3, rtol=0)
    # The G-buffer turns normals at the limb that look away from the viewer.
    cosine = (sight.normal * buffer.normal).sum(dim=1)[seen]
    assert (cosine > 0.9999).float().mean() > 0.95


@pytest.mark.parametrize("camera", CAMERAS)
def test_normals_of_what_is_seen_from_behind_are_turned_round(camera):
    positions, faces = ball(2)
    outside, inside = (
        RayRenderer("cpu").look(moving(positions, turned), [camera], (24, 24)) for turned in (faces, faces.flip(1))
    )
    torch.testing.assert_close(outside.normal, inside.normal)


@pytest.mark.parametrize("camera", CAMERAS)
def test_weights_have_the_gradient_of_their_values(camera):
    positions, faces = ball(0, dtype=torch.float64)
    seen = RayRenderer("cpu").look(moving(positions, faces), [camera], (7, 7)).gbuffer.face_index

    def weights(moved):
        return pixel_weights(clip_positions(moved, [camera]), faces, seen)

    assert torch.autograd.gradcheck(weights, positions.requires_grad_(True))


def test_a_triangle_seen_edge_on_gives_a_third_each_and_no_gradient():
    positions = torch.tensor([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    clip = clip_positions(positions, [Camera.orthographic((0.0, -2.0, 0.0), height=2.0)])
    weights = pixel_weights(clip, torch.tensor([[0, 1, 2]]), torch.zeros((1, 1, 1), dtype=torch.int32))
    (gradient,) = torch.autograd.grad(weights[..., 0].sum(), positions)
    assert weights.tolist() == [[[pytest.approx([1 / 3] * 3)]]]
    assert not gradient.any()


@pytest.mark.parametrize(("height", "speaks"), [(2.0, True), (0.2, True), (0.05, False), (1e-4, False)])
def test_a_sliver_keeps_its_weights_and_does_not_outshout_others(height, speaks):
    """A triangle of some pixels' length across one pixel's centre; its picture is 64 pixels high, of two units."""
    half = height / 64.0
    # The centre of the pixel right and below of the picture's middle.
    x, z = 1.0 / 64.0, -1.0 / 64.0
    corners = [[x - 0.2, 0.0, z - half / 2], [x + 0.2, 0.0, z - half / 2], [x, 0.0, z + 1.5 * half]]
    positions = torch.tensor(corners, dtype=torch.float64, requires_grad=True)
    clip = clip_positions(positions, [Camera.orthographic((0.0, -2.0, 0.0), height=2.0)])
    seen = torch.full((1, 64, 64), -1, dtype=torch.int32)
    seen[0, 32, 32] = 0
    weights = pixel_weights(clip, torch.tensor([[0, 1, 2]]), seen)[0, 32, 32]
    assert weights.tolist() == pytest.approx([0.375, 0.375, 0.25], abs=1e-6)
    if not speaks:
        assert not weights.requires_grad or not torch.autograd.grad(weights[2], positions)[0].any()
        return
    (gradient,) = torch.autograd.grad(weights[2], positions)
    assert 0.0 < gradient.abs().max() < 32.0 / 0.1
