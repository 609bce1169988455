# SPDX-License-Identifier: Apache-2.0
import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
import warp

from pgc.cameras import Camera
from pgc.cameras.matrices import look_at_matrix, perspective_matrix
from pgc.devices import with_index
from pgc.errors import CameraError, ConfigError, MeshError
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.rendering.raster.rasterizer import GRAZING_COSINE, RasterizerConfig
from pgc.rendering.raster.reference_rasterizer import ReferenceRasterizer
from pgc.rendering.raster.warp_rasterizer import (
    WarpRasterizer,
    _say_rays_on_cpu,
    _start_warp,
    _trace_device,
    check_kernel_folder,
)

FRONT = Camera.orthographic((0.0, -2.0, 0.0), height=2.0)
CLOSE = Camera.look_at((0.4, -1.9, 0.7), focal=0.9)
SHIFTED = Camera(
    look_at_matrix((-1.2, -1.1, 1.6), (0.0, 0.0, 0.0)), perspective_matrix(1.1, aspect=0.8, shift=(0.1, -0.05)), 0.8
)
BELOW = Camera.orthographic((0.2, 0.5, -2.0), height=1.9, aspect=1.2)


def assert_same(first: GBuffer, second: GBuffer) -> None:
    for field in dataclasses.fields(first):
        assert torch.equal(getattr(first, field.name), getattr(second, field.name)), field.name


def everywhere(buffer: GBuffer, name: str, where: torch.Tensor) -> torch.Tensor:
    return getattr(buffer, name).movedim(1, -1)[where]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["box", "torus", "sphere", "bumpy"])
@pytest.mark.parametrize(("camera", "samples"), [(CLOSE, 2), (SHIFTED, 3), (BELOW, 2)])
def test_agrees_with_the_reference(primitive, name, camera, samples):
    config = RasterizerConfig(supersampling=samples)
    fast = WarpRasterizer(primitive(name), device="cpu", config=config).render([camera], (26, 22))
    slow = ReferenceRasterizer(primitive(name), config=config).render([camera], (26, 22))
    same = fast.face_index == slow.face_index
    assert (~same).float().mean() < 0.002
    assert fast.mask.sum() > 60
    assert ((fast.coverage > 0) & (fast.coverage < 1)).any()
    # A ray along an edge may fall to either side: one subsample, in a handful of pixels.
    difference = (fast.coverage - slow.coverage).abs()
    assert difference.max() <= 1 / samples**2 + 1e-6
    assert (difference > 0).float().mean() < 0.005
    where = same & fast.mask[:, 0]
    tolerances = {"position": 2e-4, "uv": 2e-4, "depth": 2e-4, "barycentrics": 2e-3, "normal": 2e-3, "tangent": 2e-3}
    for attribute, tolerance in tolerances.items():
        difference = (everywhere(fast, attribute, where) - everywhere(slow, attribute, where)).abs()
        assert difference.max() < tolerance, attribute
    footprint, expected = everywhere(fast, "uv_footprint", where), everywhere(slow, "uv_footprint", where)
    torch.testing.assert_close(footprint, expected, rtol=1e-2, atol=1e-4)
    for attribute in (*tolerances, "uv_footprint"):
        assert not getattr(fast, attribute).movedim(1, -1)[~fast.mask[:, 0]].any(), attribute


def test_a_wall_seen_straight(quad):
    buffer = WarpRasterizer(quad(), device="cpu").render([FRONT], (8, 8))  # a pixel is a quarter unit
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[2:6, 2:6] = True
    assert torch.equal(buffer.mask[0, 0], inside)
    assert torch.equal(buffer.coverage[0, 0], inside.float())
    assert torch.equal(buffer.face_index[0] >= 0, inside)
    centres = torch.tensor([0.125, 0.375, 0.625, 0.875])
    torch.testing.assert_close(buffer.uv[0, 0, 2:6, 2:6], centres.expand(4, 4))
    torch.testing.assert_close(buffer.uv[0, 1, 2:6, 2:6], (1 - centres)[:, None].expand(4, 4))  # row 0 is the top
    torch.testing.assert_close(buffer.position[0, 0, 2:6, 2:6], (centres - 0.5).expand(4, 4))
    torch.testing.assert_close(buffer.depth[0, 0, 2:6, 2:6], torch.full((4, 4), 2.0))
    for channel, value in enumerate((0.25, 0.0, 0.0, -0.25)):
        torch.testing.assert_close(buffer.uv_footprint[0, channel, 2:6, 2:6], torch.full((4, 4), value))
    assert buffer.normal[0, :, 3, 3].tolist() == pytest.approx([0, -1, 0])
    assert buffer.tangent[0, :, 3, 3].tolist() == pytest.approx([1, 0, 0, 1])


def test_perspective_footprint_is_the_step_to_the_neighbours(quad):
    camera = Camera.look_at((0.5, -1.2, 0.3), focal=1.0)
    buffer = WarpRasterizer(quad(), device="cpu").render([camera], (64, 64))
    uv, footprint, mask = buffer.uv, buffer.uv_footprint, buffer.coverage == 1  # no uv from beside a centre
    both = mask[:, :, 1:-1, :-2] & mask[:, :, 1:-1, 2:] & mask[:, :, :-2, 1:-1] & mask[:, :, 2:, 1:-1]
    assert both.sum() > 500
    across = (uv[:, :, 1:-1, 2:] - uv[:, :, 1:-1, :-2]) / 2
    down = (uv[:, :, 2:, 1:-1] - uv[:, :, :-2, 1:-1]) / 2
    error = (torch.cat([across, down], dim=1) - footprint[:, :, 1:-1, 1:-1]).abs() * both
    assert error.max() < 1e-4
    assert footprint.abs().max() > 0.01


def test_an_edge_pixel_holds_the_nearest_subsample_that_hit(quad):
    # A strip over the left 0.3 of one pixel column: the centres miss, the left subsamples hit.
    strip = quad(left=0.0, right=0.075)
    buffer = WarpRasterizer(strip, device="cpu").render([FRONT], (8, 8))
    assert buffer.mask[0, 0, 2:6, 4].all()
    assert buffer.mask.sum() == 4
    torch.testing.assert_close(buffer.coverage[0, 0, 2:6, 4], torch.full((4,), 0.5))
    torch.testing.assert_close(buffer.uv[0, 0, 2:6, 4], torch.full((4,), 0.0625 / 0.075))
    torch.testing.assert_close(buffer.position[0, 0, 2:6, 4], torch.full((4,), 0.0625))


def test_udim_coordinates_are_not_wrapped(quad):
    buffer = WarpRasterizer(quad(tile=3.0), device="cpu").render([FRONT], (8, 8))
    assert buffer.uv[0, 0, 3, 3].item() == pytest.approx(3.375)


def test_back_faces_turn_their_normal_to_the_viewer(quad):
    behind = Camera.orthographic((0.0, 2.0, 0.0), height=2.0)
    buffer = WarpRasterizer(quad(), device="cpu").render([behind], (8, 8))
    assert buffer.normal[0, :, 3, 3].tolist() == pytest.approx([0, 1, 0])


def test_mirrored_uvs_turn_the_tangent_sign(quad):
    buffer = WarpRasterizer(quad(mirrored=True), device="cpu").render([FRONT], (8, 8))
    assert buffer.tangent[0, :, 3, 3].tolist() == pytest.approx([-1, 0, 0, -1])


@pytest.mark.parametrize("name", ["torus", "bumpy"])
def test_normals_and_tangents_are_a_frame_that_faces_the_viewer(primitive, name):
    buffer = WarpRasterizer(primitive(name), device="cpu").render([CLOSE], (48, 48))
    where = buffer.mask[:, 0]
    normal, tangent = everywhere(buffer, "normal", where), everywhere(buffer, "tangent", where)
    view = everywhere(buffer, "position", where) - torch.from_numpy(CLOSE.position)
    assert (normal.norm(dim=1) - 1).abs().max() < 1e-4
    assert (tangent[:, :3].norm(dim=1) - 1).abs().max() < 1e-4
    assert (normal * tangent[:, :3]).sum(1).abs().max() < 1e-4
    assert (normal * view).sum(1).max() < 1e-3
    assert set(tangent[:, 3].tolist()) <= {-1.0, 1.0}


def test_grazing_footprints_stay_bounded(quad):
    graze = Camera.orthographic((2.0, -1e-3, 0.0), height=2.0)
    buffer = WarpRasterizer(quad(), device="cpu", config=RasterizerConfig(supersampling=8)).render([graze], (9, 9))
    assert buffer.mask.any()
    step = 2.0 / 9.0
    assert 0 < buffer.uv_footprint.abs().max() <= step / GRAZING_COSINE * 1.01


def test_flat_uvs_give_finite_values(primitive):
    mesh = dataclasses.replace(primitive("box"), corner_uvs=np.zeros((12, 3, 2), dtype=np.float32))
    buffer = WarpRasterizer(mesh, device="cpu").render([CLOSE], (16, 16))
    for field in dataclasses.fields(buffer):
        assert getattr(buffer, field.name).isfinite().all(), field.name
    assert (everywhere(buffer, "tangent", buffer.mask[:, 0])[:, :3].norm(dim=1) - 1).abs().max() < 1e-4


def test_clip_planes_hide_what_lies_outside(quad):
    pose = look_at_matrix((0.0, -2.0, 0.0), (0.0, 0.0, 0.0))
    seen = []
    for near, far in ((0.1, 10.0), (2.1, 10.0), (0.1, 1.9)):
        camera = Camera(pose, perspective_matrix(1.0, near=near, far=far), 1.0)
        seen.append(bool(WarpRasterizer(quad(), device="cpu").render([camera], (8, 8)).mask.any()))
    assert seen == [True, False, False]


def test_an_infinite_far_plane_is_seen_through(quad):
    projection = perspective_matrix(1.0, near=1e-3, far=1e6)
    assert projection[2, 2] == -1.0
    camera = Camera(look_at_matrix((0.0, -2.0, 0.0), (0.0, 0.0, 0.0)), projection, 1.0)
    assert math.isinf(camera.clip_range[1])
    buffer = WarpRasterizer(quad(), device="cpu").render([camera], (8, 8))
    assert buffer.depth[0, 0, 3, 3].item() == pytest.approx(2.0, rel=1e-4)


def test_a_camera_seen_before_is_not_traced_again(primitive):
    rasterizer = WarpRasterizer(primitive("box"), device="cpu")
    first = rasterizer.render([CLOSE, SHIFTED], (12, 10))
    assert rasterizer.traced_views == 2
    equal_camera = Camera(CLOSE.world_to_camera.copy(), CLOSE.projection.copy(), CLOSE.aspect)
    again = rasterizer.render([SHIFTED, equal_camera, BELOW, equal_camera], (12, 10))
    assert rasterizer.traced_views == 3
    assert_same(again.select([1, 0]), first)
    assert_same(again.select([3]), first.select([0]))
    assert not torch.equal(again.face_index[2], again.face_index[1])
    rasterizer.render([CLOSE], (10, 12))
    assert rasterizer.traced_views == 4


def test_a_rig_rendered_again_is_not_even_copied(primitive):
    rasterizer = WarpRasterizer(primitive("box"), device="cpu")
    first = rasterizer.render([CLOSE, SHIFTED], (12, 10))
    assert rasterizer.render([CLOSE, SHIFTED], (12, 10)) is first
    assert_same(rasterizer.render([SHIFTED, CLOSE], (12, 10)), first.select([1, 0]))


def test_a_full_cache_forgets_the_oldest_view(primitive):
    size = WarpRasterizer(primitive("box"), device="cpu").render([CLOSE], (12, 12)).nbytes
    rasterizer = WarpRasterizer(primitive("box"), device="cpu", config=RasterizerConfig(cache_bytes=2 * size))
    for camera in (CLOSE, SHIFTED, BELOW, BELOW, SHIFTED):
        rasterizer.render([camera], (12, 12))
    assert rasterizer.traced_views == 3
    rasterizer.render([CLOSE], (12, 12))
    assert rasterizer.traced_views == 4


def test_without_a_cache_every_view_is_traced_but_doubles_only_once(primitive):
    rasterizer = WarpRasterizer(primitive("box"), device="cpu", config=RasterizerConfig(cache_bytes=0))
    buffer = rasterizer.render([CLOSE, CLOSE, BELOW], (12, 12))
    assert len(buffer) == 3
    assert rasterizer.traced_views == 2
    assert_same(buffer.select([0]), buffer.select([1]))
    rasterizer.render([CLOSE], (12, 12))
    assert rasterizer.traced_views == 3


def test_threads_change_nothing(primitive):
    def trace() -> GBuffer:
        return WarpRasterizer(primitive("bumpy"), device="cpu").render([CLOSE, BELOW], (150, 130))

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = trace()
        torch.set_num_threads(3)
        assert_same(alone, trace())
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"faces": np.zeros((0, 3), dtype=np.int32)}, "without triangles"),
        ({"faces": np.array([[0, 1, 4], [0, 2, 3]], dtype=np.int32)}, "corner indices from 0 to 4 for 4 vertices"),
        ({"faces": np.array([[0, -1, 2], [0, 2, 3]], dtype=np.int32)}, "corner indices from -1"),
        ({"positions": np.full((4, 3), np.nan, dtype=np.float32)}, "not finite"),
    ],
)
@pytest.mark.parametrize("rasterizer", [WarpRasterizer, ReferenceRasterizer])
def test_a_mesh_that_would_read_foreign_memory_is_refused(quad, rasterizer, change, words):
    mesh = quad()
    if "faces" in change and not len(change["faces"]):
        empty = {name: getattr(mesh, name)[:0] for name in ("corner_uvs", "corner_normals", "polygon_index")}
        change = change | empty | {"corner_index": mesh.corner_index[:0], "material_index": mesh.material_index[:0]}
    with pytest.raises(MeshError, match=words):
        rasterizer(dataclasses.replace(mesh, **change), device="cpu")


@pytest.mark.parametrize("rasterizer", [WarpRasterizer, ReferenceRasterizer])
def test_views_that_cannot_be_rendered_are_refused(quad, rasterizer):
    with pytest.raises(CameraError, match="no camera"):
        rasterizer(quad(), device="cpu").render([], (8, 8))
    with pytest.raises(CameraError, match="resolution"):
        rasterizer(quad(), device="cpu").render([FRONT], (0, 8))


@pytest.mark.slow
def test_rendering_writes_nothing_to_the_terminal_and_pgc_alone_does_not_load_warp():
    code = (
        "import sys, pgc, pgc.cameras, pgc.rendering.raster.rasterizer; assert 'warp' not in sys.modules\n"
        "from pgc.rendering.raster.warp_rasterizer import _start_warp; _start_warp()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout == ""
    assert done.stderr == ""


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu(primitive):
    cpu = WarpRasterizer(primitive("bumpy"), device="cpu").render([CLOSE, BELOW], (64, 64))
    cuda = WarpRasterizer(primitive("bumpy"), device="cuda").render([CLOSE, BELOW], (64, 64))
    assert cuda.uv.device.type == "cuda"
    cuda = cuda.to("cpu")
    same = cpu.face_index == cuda.face_index
    assert (~same).float().mean() < 0.002
    assert (cpu.coverage - cuda.coverage).abs().max() <= 0.25
    for name in ("position", "uv", "depth", "normal"):
        difference = (everywhere(cpu, name, same) - everywhere(cuda, name, same)).abs()
        assert difference.max() < 1e-3, name


@pytest.fixture
def warp_cards(monkeypatch):
    """Sets how many CUDA devices Warp sees. They are its CPU device: that finds wrong names, and traces the same."""
    _start_warp()
    runtime = warp._src.context.runtime

    def set_up(count: int) -> None:
        monkeypatch.setattr(runtime, "cuda_devices", [runtime.cpu_device] * count)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)

    _say_rays_on_cpu.cache_clear()
    yield set_up
    _say_rays_on_cpu.cache_clear()


def test_a_cuda_device_without_an_index_is_the_current_one_for_warp_too(warp_cards):
    warp_cards(2)
    # Warp itself looks cards up by their number alone.
    with pytest.raises(TypeError):
        warp.device_from_torch(torch.device("cuda"))
    for device in ("cuda", torch.device("cuda"), "cuda:0", torch.device("cuda", 0)):
        assert _trace_device(with_index(device)) == torch.device("cuda", 0)
        warp.device_from_torch(_trace_device(with_index(device)))
    assert _trace_device(torch.device("cuda", 1)) == torch.device("cuda", 1)
    assert _trace_device(torch.device("mps", 0)) == _trace_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize(("count", "hip", "says"), [(0, None, "NVIDIA driver"), (1, None, "cuda:1"), (2, "6.3", "AMD")])
def test_a_card_that_torch_sees_and_warp_does_not_is_said_once(warp_cards, monkeypatch, caplog, count, hip, says):
    warp_cards(count)
    monkeypatch.setattr(torch.version, "hip", hip)
    for _ in range(2):
        assert _trace_device(torch.device("cuda", 1)) == torch.device("cpu")
    (record,) = caplog.records
    assert "Rays are traced on the CPU" in record.getMessage()
    assert says in record.getMessage()


def test_a_folder_of_compiled_code_with_letters_that_the_locale_lacks_is_a_sentence():
    with pytest.raises(ConfigError, match=r"'/home/J\\udcc3\\udcb6rg/.cache', whose letters.*LC_ALL=C.UTF-8"):
        check_kernel_folder("/home/J\udcc3\udcb6rg/.cache")
    check_kernel_folder("/home/Jörg 彩/.cache")
