# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from pgc.cameras import Camera
from pgc.shape.rendering.renderer import RayRenderer, ShapeRenderer
from tests.pgc.shape.meshes import ball, moving, square

FRONT = Camera.orthographic((0.0, -2.0, 0.0), height=2.0)
RAYS = RayRenderer("cpu")


def covered(positions, faces, cameras, side):
    sight = RAYS.look(moving(positions, faces), cameras, (side, side))
    return sight.antialias(sight.gbuffer.mask.to(positions.dtype))


def test_the_ray_renderer_is_a_renderer():
    assert isinstance(RAYS, ShapeRenderer)


def test_the_area_of_a_square_is_exact_and_grows_as_it_does():
    corners, faces = square()
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    area = covered(corners * scale, faces, [FRONT], 32).sum() / 16.0**2
    (gradient,) = torch.autograd.grad(area, scale)
    assert area.item() == pytest.approx(1.0, rel=0.01)
    assert gradient.item() == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("turn", [0.0, 0.2, 0.6, 0.785, 1.3])
def test_a_turned_square_keeps_its_area(turn):
    corners, faces = square()
    angle = torch.tensor(turn, dtype=torch.float64)
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = torch.stack([torch.stack([cos, none, -sin]), torch.tensor([0.0, 1.0, 0.0]), torch.stack([sin, none, cos])])
    assert covered(corners @ rows.T, faces, [FRONT], 64).sum().item() / 32.0**2 == pytest.approx(1.0, rel=0.015)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_edge_at_45_degrees_counts_once(dtype):
    tips = torch.tensor([[-0.7, 0.0, 0.0], [0.0, 0.0, -0.7], [0.7, 0.0, 0.0], [0.0, 0.0, 0.7]], dtype=dtype)
    scale = torch.ones((), dtype=dtype, requires_grad=True)
    area = covered(tips * scale, torch.tensor([[0, 1, 2], [0, 2, 3]]), [FRONT], 64).sum() / 32.0**2
    (gradient,) = torch.autograd.grad(area, scale)
    assert area.item() == pytest.approx(0.98, rel=0.015)
    assert gradient.item() == pytest.approx(1.96, rel=0.05)


@pytest.mark.parametrize(("subdivisions", "side"), [(1, 40), (3, 40), (4, 48)])
def test_the_outline_of_a_ball_moves_with_it_however_fine_its_triangles_are(subdivisions, side):
    """Without the walk over slivers that no pixel sees, the fine ones would have a hundredth of it."""
    positions, faces = ball(subdivisions)
    cameras = [Camera.look_at((0.3, -2.2, 0.3), focal=1.0)]
    scale = torch.ones((), requires_grad=True)
    (gradient,) = torch.autograd.grad(covered(positions * scale, faces, cameras, side).sum(), scale)
    areas = [covered(positions * factor, faces, cameras, side).sum() for factor in (0.97, 1.03)]
    assert gradient.item() == pytest.approx((areas[1] - areas[0]).item() / 0.06, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("focal", "shaded", "side", "step", "error"),
    [(1.0, False, 160, 2e-3, 0.03), (4.0, True, 24, 1e-4, 1e-3)],
    ids=["outlines", "surface"],
)
def test_vertices_have_the_gradient_of_the_picture(focal, shaded, side, step, error):
    """Against pictures that are rendered anew a little aside: outlines of one colour, and a shaded surface that fills
    the picture."""
    positions, faces = ball(0, dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    positions = positions + 0.05 * torch.randn(positions.shape, generator=generator, dtype=torch.float64)
    camera = Camera.look_at((0.4, -2.0, 0.5), focal=focal)
    columns = torch.linspace(-1.0, 1.0, side, dtype=torch.float64)
    weight = torch.stack(
        [columns[None].expand(side, side), columns[:, None].expand(side, side), columns.outer(columns)]
    )
    flat = torch.tensor([0.9, 0.5, 0.7], dtype=torch.float64)[:, None, None]

    def loss(moved):
        sight = RAYS.look(moving(moved, faces), [camera], (side, side))
        picture = torch.where(sight.gbuffer.mask, 0.5 * sight.normal + 0.5 if shaded else flat, 0.2)
        return (sight.antialias(picture) * weight).mean()

    leaf = positions.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    slow = torch.zeros_like(positions)
    for vertex in range(len(positions)):
        for axis in range(3):
            aside = torch.zeros_like(positions)
            aside[vertex, axis] = step
            slow[vertex, axis] = (loss(positions + aside) - loss(positions - aside)) / (2 * step)
    assert (gradient - slow).norm() < error * slow.norm()
    assert slow.norm() > 0.01


def test_no_outline_is_found_inside_of_a_flat_square():
    corners, faces = square()
    sight = RAYS.look(moving(corners, faces), [FRONT], (16, 16))
    inside = torch.zeros((1, 1, 16, 16), dtype=torch.float64)
    inside[..., 6:10, 6:10] = torch.rand((4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(sight.antialias(inside), inside)


def test_what_is_behind_the_camera_has_no_outline():
    corners, faces = square(torch.float32)
    behind = corners + torch.tensor([0.0, -5.0, 0.0])
    camera = Camera.look_at((0.0, -2.0, 0.0), focal=1.0)
    both = torch.cat([corners, behind]).requires_grad_(True)
    picture = covered(both, torch.cat([faces, faces + 4]), [camera], 16)
    (gradient,) = torch.autograd.grad(picture.sum(), both)
    assert torch.isfinite(gradient).all()
    assert not gradient[4:].any()
    assert gradient[:4].any()
