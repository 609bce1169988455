# SPDX-License-Identifier: Apache-2.0
"""nvdiffrast's pictures become the reference's G-buffer: here by a module of its documented interface, on a card with
the real one."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from pgc.cameras import Camera
from pgc.cameras.matrices import look_at_matrix, perspective_matrix
from pgc.errors import CameraError, ConfigError, MeshError
from pgc.rendering.occlusion import RayCaster
from pgc.rendering.raster import nvdiffrast_rasterizer
from pgc.rendering.raster.choice import build_rasterizer, check_rasterizer, checked_rasterizer, name_of
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.rendering.raster.nvdiffrast_rasterizer import NvdiffrastError, NvdiffrastRasterizer, check_nvdiffrast
from pgc.rendering.raster.rasterizer import GRAZING_COSINE, RasterizerConfig
from pgc.rendering.raster.ray_hits import HitCaster
from pgc.rendering.raster.reference_rasterizer import ReferenceRasterizer
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from tests.pgc.rendering.raster import fake_nvdiffrast

FRONT = Camera.orthographic((0.0, -2.0, 0.0), height=2.0)
CLOSE = Camera.look_at((0.4, -1.9, 0.7), focal=0.9)
SHIFTED = Camera(
    look_at_matrix((-1.2, -1.1, 1.6), (0.0, 0.0, 0.0)), perspective_matrix(1.1, aspect=0.8, shift=(0.1, -0.05)), 0.8
)
BELOW = Camera.orthographic((0.2, 0.5, -2.0), height=1.9, aspect=1.2)
TOLERANCES = {"position": 2e-4, "uv": 2e-4, "depth": 2e-4, "barycentrics": 2e-3, "normal": 2e-3, "tangent": 2e-3}


@pytest.fixture
def on_cpu(monkeypatch):
    """Has the rasteriser draw with the fake module, on the CPU."""

    def opened(device):
        return fake_nvdiffrast, fake_nvdiffrast.RasterizeCudaContext(device)

    monkeypatch.setattr(nvdiffrast_rasterizer, "_open", opened)


def everywhere(buffer: GBuffer, name: str, where: torch.Tensor) -> torch.Tensor:
    return getattr(buffer, name).movedim(1, -1)[where]


def assert_agrees(drawn: GBuffer, slow: GBuffer, samples: int) -> None:
    same = drawn.face_index == slow.face_index
    assert (~same).float().mean() < 0.002
    # A ray along an edge may fall to either side: one subsample, in a handful of pixels.
    difference = (drawn.coverage - slow.coverage).abs()
    assert difference.max() <= 1 / samples**2 + 1e-6
    assert (difference > 0).float().mean() < 0.005
    where = same & drawn.mask[:, 0]
    for attribute, tolerance in TOLERANCES.items():
        difference = (everywhere(drawn, attribute, where) - everywhere(slow, attribute, where)).abs()
        assert difference.max() < tolerance, attribute
    footprint, expected = everywhere(drawn, "uv_footprint", where), everywhere(slow, "uv_footprint", where)
    torch.testing.assert_close(footprint, expected, rtol=1e-2, atol=1e-4)
    for field in dataclasses.fields(drawn):
        mine, theirs = getattr(drawn, field.name), getattr(slow, field.name)
        assert (mine.shape, mine.dtype, mine.is_contiguous()) == (theirs.shape, theirs.dtype, True), field.name
        if field.name not in ("face_index", "mask", "coverage"):
            assert not mine.movedim(1, -1)[~drawn.mask[:, 0]].any(), field.name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "camera", "samples"),
    [
        ("box", CLOSE, 2),
        ("box", BELOW, 1),
        ("torus", SHIFTED, 3),
        ("torus", BELOW, 2),
        ("bumpy", CLOSE, 3),
        ("bumpy", SHIFTED, 2),
    ],
)
def test_it_agrees_with_the_reference(on_cpu, primitive, name, camera, samples):
    config = RasterizerConfig(supersampling=samples)
    drawn = NvdiffrastRasterizer(primitive(name), device="cpu", config=config).render([camera], (26, 22))
    slow = ReferenceRasterizer(primitive(name), config=config).render([camera], (26, 22))
    assert drawn.mask.sum() > 60
    assert samples == 1 or ((drawn.coverage > 0) & (drawn.coverage < 1)).any()
    assert_agrees(drawn, slow, samples)


def test_a_wall_seen_straight(on_cpu, quad):
    buffer = NvdiffrastRasterizer(quad(), device="cpu").render([FRONT], (8, 8))  # a pixel is a quarter unit
    centres = torch.tensor([0.125, 0.375, 0.625, 0.875])
    assert buffer.mask.sum() == 16
    torch.testing.assert_close(buffer.uv[0, 0, 2:6, 2:6], centres.expand(4, 4))
    torch.testing.assert_close(buffer.uv[0, 1, 2:6, 2:6], (1 - centres)[:, None].expand(4, 4))  # row 0 is the top
    torch.testing.assert_close(buffer.depth[0, 0, 2:6, 2:6], torch.full((4, 4), 2.0))
    for channel, value in enumerate((0.25, 0.0, 0.0, -0.25)):
        torch.testing.assert_close(buffer.uv_footprint[0, channel, 2:6, 2:6], torch.full((4, 4), value))
    assert buffer.normal[0, :, 3, 3].tolist() == pytest.approx([0, -1, 0])
    assert buffer.tangent[0, :, 3, 3].tolist() == pytest.approx([1, 0, 0, 1])


def test_seen_from_behind_and_mirrored(on_cpu, quad):
    behind = Camera.orthographic((0.0, 2.0, 0.0), height=2.0)
    for mesh in (quad(), quad(mirrored=True)):
        drawn = NvdiffrastRasterizer(mesh, device="cpu").render([behind, FRONT], (8, 8))
        slow = ReferenceRasterizer(mesh).render([behind, FRONT], (8, 8))
        assert_agrees(drawn, slow, 2)


def test_an_edge_pixel_holds_the_nearest_subsample_that_hit(on_cpu, quad):
    strip = quad(left=0.0, right=0.075)
    buffer = NvdiffrastRasterizer(strip, device="cpu").render([FRONT], (8, 8))
    assert buffer.mask.sum() == 4
    torch.testing.assert_close(buffer.coverage[0, 0, 2:6, 4], torch.full((4,), 0.5))
    torch.testing.assert_close(buffer.position[0, 0, 2:6, 4], torch.full((4,), 0.0625))


@pytest.mark.parametrize("swap", [False, True])
def test_of_two_surfaces_at_an_edge_the_nearer_is_held(on_cpu, quad, swap):
    # Both strips miss the pixel's centre; the left one lies half a unit farther away.
    parts = [quad(left=0.0, right=0.075), quad(left=0.175, right=0.25)]
    far = dataclasses.replace(parts[0], positions=parts[0].positions + np.array([0, 0.5, 0], dtype=np.float32))
    first, second = (parts[1], far) if swap else (far, parts[1])
    names = ("corner_uvs", "corner_normals", "material_index")
    both = dataclasses.replace(
        first,
        positions=np.concatenate([first.positions, second.positions]),
        faces=np.concatenate([first.faces, second.faces + 4]),
        polygon_index=np.arange(4, dtype=np.int32),
        corner_index=np.arange(12, dtype=np.int32).reshape(4, 3),
        **{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names},
    )
    drawn = NvdiffrastRasterizer(both, device="cpu").render([FRONT], (8, 8))
    assert drawn.coverage[0, 0, 3, 4] == 1.0
    assert drawn.depth[0, 0, 3, 4].item() == pytest.approx(2.0)
    assert_agrees(drawn, ReferenceRasterizer(both).render([FRONT], (8, 8)), 2)


def test_grazing_footprints_stay_bounded(on_cpu, quad):
    graze = Camera.orthographic((2.0, -1e-3, 0.0), height=2.0)
    config = RasterizerConfig(supersampling=8)
    buffer = NvdiffrastRasterizer(quad(), device="cpu", config=config).render([graze], (9, 9))
    assert buffer.mask.any()
    assert 0 < buffer.uv_footprint.abs().max() <= 2.0 / 9.0 / GRAZING_COSINE * 1.01


def test_flat_uvs_and_faces_without_area_give_finite_values(on_cpu, primitive):
    mesh = primitive("box")
    faces = mesh.faces.copy()
    faces[:3] = faces[:3, :1]
    mesh = dataclasses.replace(mesh, corner_uvs=np.zeros((12, 3, 2), dtype=np.float32), faces=faces)
    buffer = NvdiffrastRasterizer(mesh, device="cpu").render([CLOSE], (16, 16))
    assert buffer.mask.any()
    for field in dataclasses.fields(buffer):
        assert getattr(buffer, field.name).isfinite().all(), field.name


def test_clip_planes_hide_what_lies_outside(on_cpu, quad):
    pose = look_at_matrix((0.0, -2.0, 0.0), (0.0, 0.0, 0.0))
    seen = []
    for near, far in ((0.1, 10.0), (2.1, 10.0), (0.1, 1.9), (1e-3, 1e6)):
        camera = Camera(pose, perspective_matrix(1.0, near=near, far=far), 1.0)
        seen.append(bool(NvdiffrastRasterizer(quad(), device="cpu").render([camera], (8, 8)).mask.any()))
    assert math.isinf(camera.clip_range[1])
    assert seen == [True, False, False, True]


@pytest.mark.parametrize("near", [0.45, 0.6, 1.05])
def test_a_mesh_that_the_near_plane_cuts_is_cut_where_the_reference_cuts_it(on_cpu, primitive, near):
    camera = Camera(look_at_matrix((0.0, -1.3, 0.2), (0.0, 0.0, 0.0)), perspective_matrix(0.7, near=near, far=1.6), 1.0)
    drawn = NvdiffrastRasterizer(primitive("torus"), device="cpu").render([camera], (20, 20))
    assert_agrees(drawn, ReferenceRasterizer(primitive("torus")).render([camera], (20, 20)), 2)


def test_planes_close_around_the_mesh_leave_the_depth_its_digits(on_cpu, quad):
    """With the camera's own near plane, z/w of both walls would be the same float32."""
    camera = Camera(look_at_matrix((0.0, -2.0, 0.0), (0.0, 0.0, 0.0)), perspective_matrix(1.0, near=1e-6, far=1e6), 1.0)
    rows = torch.from_numpy(nvdiffrast_rasterizer.clip_matrix(camera, quad().positions))
    ahead, behind = (rows @ torch.tensor([0.0, y, 0.0, 1.0]) for y in (-1e-3, 0.0))
    assert abs(float(ahead[2] / ahead[3]) - float(behind[2] / behind[3])) > 1e-3


def test_a_camera_seen_before_is_not_drawn_again(on_cpu, primitive):
    rasterizer = NvdiffrastRasterizer(primitive("box"), device="cpu")
    first = rasterizer.render([CLOSE, SHIFTED], (12, 10))
    assert rasterizer.render([CLOSE, SHIFTED], (12, 10)) is first
    rasterizer.render([SHIFTED, BELOW], (12, 10))
    assert rasterizer.drawn_views == 3


def test_rays_are_those_of_warp(on_cpu, quad):
    rasterizer = NvdiffrastRasterizer(quad(), device="cpu")
    assert isinstance(rasterizer, RayCaster)
    assert isinstance(rasterizer, HitCaster)
    origins, directions = torch.tensor([[0.1, -1.0, 0.1], [3.0, -1.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]] * 2)
    assert rasterizer.blocked(origins, directions, 5.0).tolist() == [True, False]
    assert rasterizer.first_hits(origins, directions, 5.0).face.tolist() == [0, -1]


def test_bad_meshes_and_views_are_refused_as_by_the_others(on_cpu, quad, monkeypatch):
    with pytest.raises(CameraError, match="no camera"):
        NvdiffrastRasterizer(quad(), device="cpu").render([], (8, 8))
    damaged = dataclasses.replace(quad(), positions=np.full((4, 3), np.nan, dtype=np.float32))
    with pytest.raises(MeshError, match="not finite"):
        NvdiffrastRasterizer(damaged, device="cpu")
    monkeypatch.setattr(nvdiffrast_rasterizer, "_MOST_TRIANGLES", 1)
    with pytest.raises(NvdiffrastError, match="tells 1 triangles apart and the mesh has 2"):
        NvdiffrastRasterizer(quad(), device="cpu")


class Broken:
    """A context that cannot be made."""

    def __init__(self, device=None):
        raise RuntimeError("nvcc was not found\nand a long trace")


@pytest.mark.parametrize(
    ("device", "hip", "context", "words"),
    [
        ("cpu", None, fake_nvdiffrast.RasterizeCudaContext, "NVIDIA cards alone, and this is the device cpu"),
        ("mps:0", None, fake_nvdiffrast.RasterizeCudaContext, "this is the device mps:0"),
        ("cuda:0", "6.4", fake_nvdiffrast.RasterizeCudaContext, "built for AMD's"),
        ("cuda:0", None, None, "not installed, and its licence allows research and evaluation only"),
        ("cuda:0", None, Broken, r"installed but does not work \(nvcc was not found\); install it again"),
    ],
)
def test_it_is_refused_by_name_where_it_cannot_be_had(monkeypatch, quad, device, hip, context, words):
    monkeypatch.setattr(torch.version, "hip", hip)
    if context is not None:
        fake_nvdiffrast.install(monkeypatch, context)
    with pytest.raises(NvdiffrastError, match=words):
        check_nvdiffrast(torch.device(device))
    with pytest.raises(ConfigError, match=words):
        check_rasterizer("nvdiffrast", torch.device(device))
    for other in ("auto", "warp"):
        check_rasterizer(other, torch.device(device))
    with pytest.raises(ConfigError, match=words):
        build_rasterizer(quad(), device=device, asked="nvdiffrast")


def test_where_it_works_it_is_not_refused(monkeypatch):
    fake_nvdiffrast.install(monkeypatch)
    check_rasterizer("nvdiffrast", torch.device("cuda", 0))


def test_a_broken_one_leaves_the_work_to_warp_and_is_mentioned(monkeypatch, quad, caplog):
    fake_nvdiffrast.install(monkeypatch, Broken)
    devices = []

    class Warp(WarpRasterizer):
        def __init__(self, mesh, **named):
            devices.append(str(named["device"]))

    monkeypatch.setattr("pgc.rendering.raster.choice.WarpRasterizer", Warp)
    assert name_of(build_rasterizer(quad(), device="cuda:0")) == "warp"
    assert devices == ["cuda:0"]
    assert "Views are drawn by Warp: nvdiffrast is installed but does not work (nvcc was not found)" in caplog.text


def test_the_cpu_gets_warp_also_where_nvdiffrast_is_there(monkeypatch, quad):
    fake_nvdiffrast.install(monkeypatch)
    for asked in ("auto", "warp"):
        rasterizer = build_rasterizer(quad(), device="cpu", asked=asked)
        assert isinstance(rasterizer, WarpRasterizer)
        assert name_of(rasterizer) == "warp"
    assert name_of(ReferenceRasterizer(quad())) == "ReferenceRasterizer"


def test_names_of_rasterisers():
    assert [checked_rasterizer(name) for name in ("auto", "warp", "nvdiffrast")] == ["auto", "warp", "nvdiffrast"]
    with pytest.raises(ConfigError, match="--rasterizer is 'opengl'; expected one of auto, warp, nvdiffrast"):
        checked_rasterizer("opengl")


@pytest.mark.gpu
def test_the_real_one_agrees_with_the_reference_on_a_card(primitive):
    pytest.importorskip("nvdiffrast.torch", reason="nvdiffrast is not installed")
    rasterizer = build_rasterizer(primitive("bumpy"), device="cuda")
    assert name_of(rasterizer) == "nvdiffrast"
    drawn = rasterizer.render([CLOSE, BELOW], (64, 64)).to("cpu")
    slow = ReferenceRasterizer(primitive("bumpy")).render([CLOSE, BELOW], (64, 64))
    same = drawn.face_index == slow.face_index
    # It puts corners on a grid of a sixteenth of a pixel: more rays along edges fall to the other side.
    assert (~same).float().mean() < 0.01
    assert (drawn.coverage - slow.coverage).abs().mean() < 0.01
    for name in ("position", "uv", "depth", "normal", "uv_footprint"):
        difference = (everywhere(drawn, name, same) - everywhere(slow, name, same)).abs()
        assert difference.quantile(0.999) < 1e-3, name
