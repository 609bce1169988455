# SPDX-License-Identifier: Apache-2.0
"""Whole exports: which files there are, what they hold, and that they fit each other."""

import numpy as np
import OpenImageIO as oiio
import pygltflib
import pytest
import torch

from pgc.errors import ConfigError, OutputError, TextureError
from pgc.export.material import ExportConfig, export_material, parse_models, read_maps
from pgc.export.packing import GLTF, SEPARATE, UNITY_HDRP, UNREAL
from pgc.images.writing import Exr, Png, read_image, write_image
from pgc.mesh import prepare_mesh
from pgc.texture.field import BakedTexture
from tests.pgc.export.awkward import AWKWARD, material, pixels

PLAIN = prepare_mesh(AWKWARD["plain"])


def names(paths):
    return sorted(path.name for path in paths)


def embedded(path, name):
    """Pixels of an image in a GLB."""
    gltf = pygltflib.GLTF2().load(str(path))
    (image,) = [image for image in gltf.images if image.name.endswith(name)]
    view = gltf.bufferViews[image.bufferView]
    return pixels(bytes(gltf.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]))


def bytes_of(image):
    return (image.clamp(0, 1) * 255 + 0.5).floor().byte().permute(1, 2, 0).numpy()


def test_files_of_a_packing(tmp_path):
    config = ExportConfig(packing=UNREAL, image_format=Png(16))
    written = export_material(tmp_path, PLAIN, material(), config)
    assert names(written) == names(tmp_path.iterdir())
    assert names(written) == ["T_box_BaseColor.png", "T_box_Normal.png", "T_box_ORM.png", "textured.glb"]
    texture = material()
    normal = read_image(tmp_path / "T_box_Normal.png", "data")
    torch.testing.assert_close(normal[1], 1.0 - texture.maps["normal"][0][1], atol=1e-5, rtol=0)
    orm = read_image(tmp_path / "T_box_ORM.png", "data")
    for channel, name in enumerate(("occlusion", "roughness", "metallic")):
        torch.testing.assert_close(orm[channel], texture.maps[name][0][0], atol=1e-5, rtol=0)
    # A GLB has OpenGL normals, whatever the engine wants of loose images.
    np.testing.assert_array_equal(embedded(tmp_path / "textured.glb", "normal"), bytes_of(texture.maps["normal"][0]))
    np.testing.assert_array_equal(
        embedded(tmp_path / "textured.glb", "orm")[..., 1:2], bytes_of(texture.maps["roughness"][0])
    )


def test_an_obj_gets_the_images_that_it_names(tmp_path):
    export_material(tmp_path, PLAIN, material(), ExportConfig(packing=UNREAL, models=("obj",), image_format=Exr()))
    named = {line.split()[1] for line in (tmp_path / "textured.mtl").read_text().splitlines() if ".exr" in line}
    assert named == {"base_color.exr", "roughness.exr", "metallic.exr", "normal.exr"}
    assert named <= set(names(tmp_path.iterdir()))
    green = read_image(tmp_path / "normal.exr", "data")[1]
    torch.testing.assert_close(green, material().maps["normal"][0][1], atol=1e-3, rtol=0)


def test_usd_and_materialx_get_the_images_that_they_name(tmp_path):
    written = export_material(tmp_path, PLAIN, material(), ExportConfig(packing=UNREAL, models=("usd", "mtlx")))
    assert names(written) == names(tmp_path.iterdir())
    for file, unnamed in (("textured.usda", set()), ("textured.mtlx", {"occlusion.png"})):
        text = (tmp_path / file).read_text()
        separate = {f"{name}.png" for name in ("base_color", "roughness", "metallic", "normal", "occlusion")}
        assert {name for name in separate if name in text} == separate - unnamed
        assert separate <= set(names(written))


def test_normals_the_other_way_round(tmp_path):
    export_material(tmp_path, PLAIN, material(), ExportConfig(packing=GLTF, normal_green="directx", models=()))
    green = read_image(tmp_path / "normal.png", "data")[1]
    torch.testing.assert_close(green, 1.0 - material().maps["normal"][0][1], atol=3e-3, rtol=0)


def test_tiles_and_missing_maps(tmp_path):
    prepared = prepare_mesh(AWKWARD["udim"])
    texture = material((1001, 1002))
    colour = BakedTexture(maps={"base_color": texture.maps["base_color"]}, tiles=texture.tiles)
    written = export_material(tmp_path, prepared, colour, ExportConfig(models=("glb", "obj")))
    assert names(written) == [
        "base_color.1001.png",
        "base_color.1002.png",
        "textured.glb",
        "textured.mtl",
        "textured.obj",
    ]


def test_names_that_are_no_file_names(tmp_path):
    prepared = prepare_mesh(AWKWARD["strange names"])
    written = export_material(tmp_path, prepared, material(), ExportConfig(packing=UNITY_HDRP, models=()))
    assert names(written) == [f"naïve_box_1_{kind}.png" for kind in ("BaseMap", "MaskMap", "NormalMap")]
    mask = oiio.ImageInput.open(str(tmp_path / "naïve_box_1_MaskMap.png")).spec()
    assert mask.nchannels == 4


def write_maps(folder, texture, image_format):
    """Every map in an image of its own, and orm, under the names that runs give them."""
    orm = zip(*(texture.maps[name] for name in ("occlusion", "roughness", "metallic")), strict=True)
    for name, images in {**texture.maps, "orm": [torch.cat(parts) for parts in orm]}.items():
        for tile, image in zip(texture.tiles, images, strict=True):
            place = "" if texture.tiles == (1001,) else f".{tile}"
            content = "color" if name == "base_color" else "data"
            write_image(folder / f"{name}{place}{image_format.suffix}", image, content, image_format)


@pytest.mark.parametrize("tiles", [(1001,), (1001, 1003)])
@pytest.mark.parametrize("image_format", [Png(16), Exr(32)])
def test_maps_come_back(tmp_path, tiles, image_format):
    texture = material(tiles)
    write_maps(tmp_path, texture, image_format)
    back = read_maps(tmp_path, tiles)
    assert back.maps.keys() == texture.maps.keys()
    for name, images in texture.maps.items():
        for image, other in zip(images, back.maps[name], strict=True):
            torch.testing.assert_close(other, image, atol=1e-5, rtol=0)


def test_maps_from_an_orm_alone(tmp_path):
    texture = material()
    write_maps(tmp_path, texture, Exr(32))
    (tmp_path / "roughness.exr").unlink()
    write_image(tmp_path / "metallic.exr", torch.full((3, 16, 16), 0.5), "data", Exr(32))
    back = read_maps(tmp_path, (1001,))
    torch.testing.assert_close(back.maps["roughness"][0], texture.maps["roughness"][0])
    assert (back.maps["metallic"][0] == 0.5).all(), "a map of its own goes before orm"
    assert back.maps["metallic"][0].shape == (1, 16, 16)


def test_folders_that_do_not_do(tmp_path):
    with pytest.raises(OutputError, match="no base_color"):
        read_maps(tmp_path, (1001,))
    write_image(tmp_path / "base_color.png", torch.zeros(3, 8, 8), "color", Png())
    write_image(tmp_path / "normal.png", torch.zeros(3, 4, 4), "data", Png())
    with pytest.raises(TextureError, match="differ in size"):
        read_maps(tmp_path, (1001,))
    write_image(tmp_path / "base_color.1001.png", torch.zeros(3, 8, 8), "color", Png())
    with pytest.raises(TextureError, match=r"base_color\.1002\.png"):
        read_maps(tmp_path, (1001, 1002))


def test_impossible_wishes(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="no model format 'fbx'"):
        parse_models("glb, fbx")
    assert parse_models("obj, glb,obj") == ("obj", "glb")
    assert parse_models("") == ()
    monkeypatch.setattr("pgc.export.material.find_blender", lambda environment: None)
    with pytest.raises(OutputError, match="No Blender was found"):
        export_material(tmp_path, PLAIN, material(), ExportConfig(packing=SEPARATE, models=("blend",)))
    assert list(tmp_path.iterdir()) == [], "said before anything is written"
