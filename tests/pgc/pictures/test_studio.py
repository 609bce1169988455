# SPDX-License-Identifier: Apache-2.0
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from pgc.errors import ConfigError
from pgc.mesh import load_mesh, prepare_mesh
from pgc.pictures.contact_sheet import PREVIEW_VIEWS, PreviewConfig, preview_cameras, render_preview
from pgc.pictures.studio import BACKGROUND, Framing, LitMaterial, baked_colors, baked_look, take_pictures
from pgc.pictures.turntable import TurntableConfig, render_turntable
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.texture.field import BakedTexture

SIZE = 32


@pytest.fixture
def cube(cube_obj):
    return prepare_mesh(load_mesh(cube_obj)).triangles


@pytest.fixture
def rasterizer(cube):
    return WarpRasterizer(cube, device=torch.device("cpu"))


def red(side=16):
    image = torch.zeros(3, side, side)
    image[0] = 0.8
    return BakedTexture(maps={"base_color": [image]})


def test_the_mesh_is_red_and_the_background_neutral(cube, rasterizer):
    (picture,) = take_pictures(rasterizer, [Framing.of(cube).camera(0.3, 0.4)], baked_colors(red()), SIZE)
    center, corner = picture[SIZE // 2, SIZE // 2], picture[0, 0]
    assert center[0] > 100
    assert center[1:].max() == 0
    assert corner.tolist() == [round(BACKGROUND * 255)] * 3


def test_faces_are_told_apart_by_light(cube, rasterizer):
    (picture,) = take_pictures(rasterizer, [Framing.of(cube).camera(0.6, 0.5)], baked_colors(red()), 64)
    inside = picture[(picture[..., 1] == 0)][:, 0]
    assert len(np.unique(inside // 8)) >= 3


@pytest.mark.parametrize("front", ["-y", "+y", "-x", "+x"])
def test_the_front_is_where_the_axis_says(cube, front):
    camera = Framing.of(cube, front).camera(0.0, 0.0)
    sign = -1.0 if front[0] == "-" else 1.0
    axis = {"x": 0, "y": 1}[front[1]]
    assert camera.position[axis] * sign > 1.0
    assert np.abs(np.delete(camera.position, axis)).max() < 1e-5


def test_azimuth_grows_to_the_viewers_right(cube):
    assert Framing.of(cube).camera(math.radians(90.0), 0.0).position[0] > 1.0


def test_all_of_the_mesh_is_in_every_picture(cube):
    framing = Framing.of(cube)
    for camera in preview_cameras(framing):
        assert np.abs(camera.project(cube.positions)[:, :2]).max() < 1.0


def test_the_contact_sheet_has_six_views(cube, rasterizer):
    data = render_preview(rasterizer, baked_colors(red()), Framing.of(cube), PreviewConfig(view_size=SIZE))
    sheet = np.array(Image.open(io.BytesIO(data)))
    assert sheet.shape == (2 * SIZE, 3 * SIZE, 3)
    assert len(PREVIEW_VIEWS) == 6
    tiles = sheet.reshape(2, SIZE, 3, SIZE, 3).swapaxes(1, 2).reshape(6, SIZE, SIZE, 3)
    assert all((tile[..., 1] == 0).mean() > 0.1 for tile in tiles)


def test_the_turntable_is_animated_and_endless(cube, rasterizer):
    config = TurntableConfig(size=SIZE, frames=3, seconds=0.6)
    image = Image.open(io.BytesIO(render_turntable(rasterizer, baked_colors(red()), Framing.of(cube), config)))
    assert (image.format, image.n_frames, image.info["loop"]) == ("WEBP", 3, 0)
    frames = []
    for index in range(3):
        image.seek(index)
        frames.append(np.array(image.convert("RGB"), dtype=int))
    assert np.abs(frames[0] - frames[1]).max() > 20


def test_small_pictures_show_the_average_of_a_fine_texture(cube, rasterizer):
    stripes = torch.zeros(3, 256, 256)
    stripes[:, :, ::2] = 1.0
    texture = BakedTexture(maps={"base_color": [stripes]})
    (picture,) = take_pictures(rasterizer, [Framing.of(cube).camera(0.3, 0.4)], baked_colors(texture), SIZE)
    gray = BakedTexture(maps={"base_color": [torch.full((3, 256, 256), 0.5)]})
    (expected,) = take_pictures(rasterizer, [Framing.of(cube).camera(0.3, 0.4)], baked_colors(gray), SIZE)
    assert np.abs(picture.astype(int) - expected.astype(int)).max() <= 2


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (PreviewConfig, {"view_size": 8}),
        (TurntableConfig, {"size": 8}),
        (TurntableConfig, {"frames": 1}),
        (TurntableConfig, {"seconds": 0.0}),
        (TurntableConfig, {"quality": 101}),
    ],
)
def test_impossible_settings_are_refused(config, changes):
    with pytest.raises(ConfigError):
        config(**changes)


def material(roughness, metallic):
    maps = {"roughness": [torch.full((1, 16, 16), roughness)], "metallic": [torch.full((1, 16, 16), metallic)]}
    return BakedTexture(maps={**red().maps, **maps})


@pytest.mark.slow
def test_a_whole_material_is_shown_in_a_studio(cube, rasterizer):
    cameras = [Framing.of(cube).camera(0.3, 0.4)]
    looks = [baked_look(material(0.3, 1.0)), baked_look(material(1.0, 0.0)), baked_colors(red())]
    assert isinstance(looks[0], LitMaterial)
    metal, matte, plain = (take_pictures(rasterizer, cameras, look, SIZE)[0] for look in looks)
    assert not np.array_equal(metal, matte)
    assert not np.array_equal(matte, plain)
    for picture in (metal, matte):
        center = picture[SIZE // 2, SIZE // 2].astype(int)
        assert center[0] > center[1] + 20, "it is still red"
        assert picture[0, 0].tolist() == [round(BACKGROUND * 255)] * 3


def test_occlusion_beside_base_color_alone_changes_no_picture(cube, rasterizer):
    cameras = [Framing.of(cube).camera(0.3, 0.4)]
    maps = {**red().maps, "occlusion": [torch.zeros(1, 16, 16)]}
    pictures = [
        take_pictures(rasterizer, cameras, baked_look(BakedTexture(maps=kept)), SIZE)[0] for kept in (maps, red().maps)
    ]
    assert np.array_equal(*pictures)
