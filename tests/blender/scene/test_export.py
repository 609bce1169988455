# SPDX-License-Identifier: Apache-2.0
"""What `pgc` exports, read by Blender: .blend, GLB and OBJ keep mesh and maps; ORM lands in the right sockets."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from pgc.errors import OutputError
from pgc.export.blend import BlenderProgram, write_blend
from pgc.export.glb import write_glb
from pgc.export.obj import write_obj
from pgc.export.packing import pack_orm
from pgc.images.maps import encode_png
from pgc.mesh import load_mesh, prepare_mesh
from pgc.texture.field import to_uint8_values
from tests.pgc.export.awkward import AWKWARD, material, pixels
from tests.pgc.export.test_glb_sets import colored, with_sets

pytestmark = [pytest.mark.blender, pytest.mark.slow]
PROBE = "probe_export.py"
CHANNELS = {"Occlusion": "Red", "Roughness": "Green", "Metallic": "Blue"}


@pytest.fixture
def program(blender):
    return BlenderProgram(program=blender.program, is_module=blender.is_module, limit=200.0)


def encoded(tiles):
    """PNG bytes of base_color, orm and normal, by map and tile."""
    texture = material(tiles)
    maps = {"base_color": texture.maps["base_color"], "orm": pack_orm(texture), "normal": texture.maps["normal"]}
    return {
        name: {tile: encode_png(to_uint8_values(image)) for tile, image in zip(tiles, images, strict=True)}
        for name, images in maps.items()
    }


def z_up(mesh):
    points = mesh.positions.astype(np.float32)
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1) if mesh.up_axis == "y" else points


def sha(data):
    return hashlib.sha256(data).hexdigest()


def read_pixels(folder, source):
    """Bytes [h, w, 3] as Blender holds them, before any colour space."""
    return np.floor(np.load(folder / source["pixels"])[..., :3] * 255 + 0.5).astype(np.uint8)


def test_a_blend_puts_a_far_mesh_near_its_objects_origin(tmp_path, program, run_in_blender):
    mesh = replace(AWKWARD["plain"], positions=AWKWARD["plain"].positions + np.array([500_000, 312, -5_400_000]))
    write_blend(tmp_path / "out.blend", prepare_mesh(mesh), {}, program)
    run_in_blender("read_blend", script=PROBE, path=str(tmp_path / "out.blend"), folder=str(tmp_path))
    with np.load(tmp_path / "mesh.npz") as arrays:
        assert np.abs(arrays["positions"]).max() < 4
        moved = arrays["positions"] + arrays["location"].astype(np.float64)
    turned = np.stack([mesh.positions[:, 0], -mesh.positions[:, 2], mesh.positions[:, 1]], axis=1)
    np.testing.assert_allclose(moved, turned, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["plain", "udim", "materials", "strange names", "n-gons", "degenerate", "mirrored"])
def test_a_blend_keeps_mesh_and_maps(tmp_path, program, run_in_blender, name):
    mesh = AWKWARD[name]
    prepared = prepare_mesh(mesh)
    tiles = prepared.report.tiles
    images = encoded(tiles)
    write_blend(tmp_path / "out.blend", prepared, images, program)
    assert [path.name for path in tmp_path.iterdir()] == ["out.blend"]
    found = run_in_blender("read_blend", script=PROBE, path=str(tmp_path / "out.blend"), folder=str(tmp_path))
    assert (found["objects"], found["scenes"]) == (1, 1)
    with np.load(tmp_path / "mesh.npz") as arrays:
        np.testing.assert_array_equal(arrays["positions"], z_up(mesh))
        np.testing.assert_array_equal(arrays["sizes"], mesh.polygon_sizes)
        np.testing.assert_array_equal(arrays["corners"], mesh.corner_positions)
        np.testing.assert_array_equal(arrays["uvs"], mesh.uvs[mesh.corner_uvs])
        np.testing.assert_array_equal(arrays["material_index"], mesh.material_index)
        if mesh.normals is not None:
            assert np.abs(arrays["normals"][:4] - np.array([0, -1, 0])).max() < 1e-3
    assert len(found["slots"]) == len(mesh.material_names)
    maps = found["maps"][0]
    assert all(other == maps for other in found["maps"])
    for socket, kind in {**dict.fromkeys(CHANNELS, "orm"), "Base Color": "base_color", "Normal": "normal"}.items():
        assert maps[socket]["packed"] == {str(tile): sha(png) for tile, png in images[kind].items()}, socket
        assert maps[socket]["channel"] == CHANNELS.get(socket, "all")
        assert maps[socket]["space"] == ("sRGB" if kind == "base_color" else "Non-Color")
        if tiles == (1001,):
            np.testing.assert_array_equal(read_pixels(tmp_path, maps[socket]), pixels(images[kind][1001]))


def test_a_blend_keeps_other_uv_sets_and_colours(tmp_path, program, run_in_blender):
    mesh = colored(with_sets(1, (0, 4)))
    write_blend(tmp_path / "out.blend", prepare_mesh(mesh), encoded((1001,)), program)
    found = run_in_blender("read_blend", script=PROBE, path=str(tmp_path / "out.blend"), folder=str(tmp_path))
    assert found["layers"] == ["TEXCOORD_0", "UVMap", "TEXCOORD_4"]
    assert found["textured"] == "UVMap"
    with np.load(tmp_path / "mesh.npz") as arrays:
        np.testing.assert_array_equal(arrays["uvs"], mesh.uvs[mesh.corner_uvs])
        for number, other in zip((0, 2), mesh.other_uv_sets, strict=True):
            given = other.corner_uvs >= 0
            np.testing.assert_array_equal(arrays[f"uvs_{number}"][given], other.uvs[other.corner_uvs[given]])
        given = mesh.corner_colors >= 0
        np.testing.assert_allclose(arrays["colors_0"][given], mesh.colors[mesh.corner_colors[given]], atol=1e-6)


@pytest.mark.parametrize(
    ("own", "other", "layers"),
    [
        ("PGC", "Artist", ["Artist", "PGC"]),
        ("PGC", "PGC", ["PGC.file", "PGC"]),
        ("TEXCOORD_1", "TEXCOORD_0", ["TEXCOORD_0", "TEXCOORD_1"]),
        ("", "UVMap", ["UVMap.file", "UVMap"]),
        ("n" * 80, "Artist", ["Artist", "n" * 63]),
    ],
)
def test_a_blend_calls_the_textured_map_as_the_mesh_does(tmp_path, program, run_in_blender, own, other, layers):
    mesh = with_sets(1, (0,))
    mesh = replace(mesh, uv_name=own, other_uv_sets=(replace(mesh.other_uv_sets[0], name=other),))
    write_blend(tmp_path / "out.blend", prepare_mesh(mesh), encoded((1001,)), program)
    found = run_in_blender("read_blend", script=PROBE, path=str(tmp_path / "out.blend"), folder=str(tmp_path))
    assert (found["layers"], found["textured"]) == (layers, layers[1])


def test_a_round_trip_of_the_glb_keeps_the_maps(tmp_path, run_in_blender):
    """Ours to Blender, and Blender's own export back: the same pixels, in the same channels."""
    prepared = prepare_mesh(AWKWARD["plain"])
    images = encoded((1001,))
    write_glb(tmp_path / "out.glb", prepared, {name: tiles[1001] for name, tiles in images.items()})
    found = run_in_blender(
        "import_glb",
        script=PROBE,
        path=str(tmp_path / "out.glb"),
        folder=str(tmp_path),
        again=str(tmp_path / "again.glb"),
    )
    (maps,) = found["maps"]
    for socket, kind in {**dict.fromkeys(CHANNELS, "orm"), "Base Color": "base_color", "Normal": "normal"}.items():
        assert maps[socket]["channel"] == CHANNELS.get(socket, "all")
        np.testing.assert_array_equal(read_pixels(tmp_path, maps[socket]), pixels(images[kind][1001]))
    with np.load(tmp_path / "mesh.npz") as arrays:
        assert len(arrays["sizes"]) == 12
    again = load_mesh(tmp_path / "again.glb")
    assert again.triangle_count == 12
    import pygltflib

    gltf = pygltflib.GLTF2().load(str(tmp_path / "again.glb"))
    surface = gltf.materials[0].pbrMetallicRoughness
    assert gltf.materials[0].occlusionTexture.index == surface.metallicRoughnessTexture.index
    for texture, kind in (
        (surface.baseColorTexture, "base_color"),
        (surface.metallicRoughnessTexture, "orm"),
        (gltf.materials[0].normalTexture, "normal"),
    ):
        view = gltf.bufferViews[gltf.images[gltf.textures[texture.index].source].bufferView]
        data = bytes(gltf.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength])
        np.testing.assert_array_equal(pixels(data), pixels(images[kind][1001]))


def test_an_obj_finds_its_maps(tmp_path, run_in_blender):
    mesh = AWKWARD["n-gons"]
    texture = material()
    names = ("base_color", "roughness", "metallic", "normal")
    for name in names:
        (tmp_path / f"{name}.png").write_bytes(encode_png(to_uint8_values(texture.maps[name][0])))
    write_obj(tmp_path / "out.obj", prepare_mesh(mesh), {name: {1001: f"{name}.png"} for name in names})
    found = run_in_blender("import_obj", script=PROBE, path=str(tmp_path / "out.obj"), folder=str(tmp_path))
    (maps,) = found["maps"]
    assert {socket: source["file"] for socket, source in maps.items()} == {
        "Base Color": "base_color.png",
        "Roughness": "roughness.png",
        "Metallic": "metallic.png",
        "Normal": "normal.png",
    }
    with np.load(tmp_path / "mesh.npz") as arrays:
        np.testing.assert_array_equal(arrays["sizes"], [4, 5])
        np.testing.assert_array_equal(arrays["uvs"], mesh.uvs[mesh.corner_uvs])


def test_blender_that_fails_is_said(tmp_path, program):
    prepared = prepare_mesh(AWKWARD["plain"])
    with pytest.raises(OutputError, match="damaged"):
        write_blend(tmp_path / "out.blend", prepared, {"base_color": {1001: b"no picture"}}, program)
    assert list(tmp_path.iterdir()) == []
