# SPDX-License-Identifier: Apache-2.0
"""nvdiffrast behind the renderers' protocol: here by a module of its documented interface, on a card the real one."""

import pytest
import torch

from pgc.cameras import Camera
from pgc.rendering.raster import nvdiffrast_rasterizer
from pgc.rendering.raster.nvdiffrast_rasterizer import NvdiffrastError
from pgc.shape.rendering import choice
from pgc.shape.rendering.choice import build_renderer, renderer_name
from pgc.shape.rendering.nvdiffrast_renderer import NvdiffrastRenderer
from pgc.shape.rendering.renderer import RayRenderer, ShapeRenderer
from tests.pgc.rendering.raster import fake_nvdiffrast
from tests.pgc.shape.meshes import ball, moving

CAMERAS = [Camera.look_at((0.4, -1.9, 0.7), focal=0.9), Camera.orthographic((0.2, 0.5, -2.0), height=1.9)]


@pytest.fixture
def on_cpu(monkeypatch):
    def opened(device):
        return fake_nvdiffrast, fake_nvdiffrast.RasterizeCudaContext(device)

    monkeypatch.setattr(nvdiffrast_rasterizer, "_open", opened)


def drawn(renderer: ShapeRenderer, positions, faces, device="cpu"):
    """A shaded picture, and its gradient by colours and (of the real module, and ours) by positions."""
    leaf = positions.clone().to(device).requires_grad_(True)
    colors = (0.5 + 0.5 * positions).to(device).requires_grad_(True)
    sight = renderer.look(moving(leaf, faces.to(device), colors), CAMERAS, (32, 32))
    picture = torch.where(sight.gbuffer.mask, sight.color * sight.normal.abs(), 0.2)
    picture = sight.antialias(picture)
    weight = torch.linspace(0.0, 1.0, 32, device=device)[:, None]
    gradients = torch.autograd.grad((picture * weight).sum(), [leaf, colors])
    return sight, picture.detach().cpu(), [each.cpu() for each in gradients]


def assert_alike(ours, theirs, share: float) -> None:
    sight, picture, gradients = ours
    other, other_picture, other_gradients = theirs
    same = (sight.gbuffer.face_index.cpu() == other.gbuffer.face_index.cpu()).float().mean()
    assert same > 0.995
    assert (picture - other_picture).abs().mean() < 2e-3
    for mine, their in zip(gradients, other_gradients, strict=True):
        assert (mine - their).norm() < share * mine.norm()


def test_it_draws_what_rays_draw(on_cpu):
    positions, faces = ball(1)
    renderer = NvdiffrastRenderer("cpu")
    assert isinstance(renderer, ShapeRenderer)
    ours, theirs = drawn(RayRenderer("cpu"), positions, faces), drawn(renderer, positions, faces)
    assert_alike(ours, theirs, 0.02)


@pytest.mark.gpu
def test_the_real_one_draws_what_rays_draw():
    if not nvdiffrast_rasterizer.is_nvdiffrast_installed():
        pytest.skip("nvdiffrast is not installed")
    # Few, large triangles: of slivers that no pixel sees, nvdiffrast finds no outline.
    positions, faces = ball(0)
    ours = drawn(RayRenderer("cuda"), positions, faces, "cuda")
    assert_alike(ours, drawn(NvdiffrastRenderer("cuda"), positions, faces, "cuda"), 0.15)


def test_without_a_card_shapes_are_drawn_by_rays(monkeypatch, caplog):
    assert renderer_name(build_renderer("cpu")) == "rays"
    with pytest.raises(NvdiffrastError, match="NVIDIA cards alone"):
        NvdiffrastRenderer("cpu")
    fake_nvdiffrast.install(monkeypatch)
    assert renderer_name(build_renderer("cpu")) == "rays"
    # A card on which nvdiffrast does not work.
    monkeypatch.setattr(choice, "with_index", lambda device: torch.device("cuda", 0))

    def broken(device):
        raise NvdiffrastError("it does not work")

    monkeypatch.setattr(choice, "NvdiffrastRenderer", broken)
    monkeypatch.setattr(choice, "RayRenderer", lambda device: RayRenderer("cpu"))
    assert isinstance(build_renderer("cpu"), RayRenderer)
    assert "Shapes are drawn by rays: it does not work" in caplog.text
