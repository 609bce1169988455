# SPDX-License-Identifier: Apache-2.0
"""Containers, buffers and extensions: what is read, forgiven and refused, each in one sentence."""

import base64
import json
import os
import struct
import time
import tracemalloc

import numpy as np
import pytest

from pgc.errors import MeshError
from tests.pgc.mesh.formats.gltf.builder import SQUARE, SQUARE_FACES, Builder, corners, glb, load


@pytest.fixture
def square():
    builder = Builder()
    return builder.shown(builder.square())


def same(mesh):
    return np.array_equal(corners(mesh), SQUARE[SQUARE_FACES])


def test_text_with_a_data_uri(tmp_path, square):
    assert same(load(tmp_path, square.gltf(), "m.gltf"))


@pytest.mark.parametrize(
    "head", ["data:;base64,", "DATA:application/gltf-buffer;charset=x;BASE64,", "data:application/octet-stream;base64,"]
)
def test_heads_of_data_uris(tmp_path, square, head):
    encoded = base64.b64encode(bytes(square.data)).decode()
    assert same(load(tmp_path, square.gltf(head + encoded), "m.gltf"))
    assert same(load(tmp_path, square.gltf(head + encoded.rstrip("=")), "m.gltf")), "without its padding"
    assert same(load(tmp_path, square.gltf(head + encoded.replace("+", "%2B")), "m.gltf"))


def test_a_data_uri_without_base64_is_percent_encoded(tmp_path, square):
    text = "".join(f"%{byte:02x}" for byte in square.data)
    assert same(load(tmp_path, square.gltf("data:application/octet-stream," + text), "m.gltf"))


@pytest.mark.parametrize("uri", ["data:;base64,A", "data:", "data:;base64,\u00e9\u00e9\u00e9\u00e9="])
def test_damaged_data_uris(tmp_path, square, uri):
    with pytest.raises(MeshError, match=r"data URI of buffers\[0\] is damaged|buffer that has"):
        load(tmp_path, square.gltf(uri), "m.gltf")


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("my mesh.bin", "my%20mesh.bin"),
        ("my mesh.bin", "my mesh.bin"),
        ("größe.bin", "gr%C3%B6%C3%9Fe.bin"),
        ("größe.bin", "größe.bin"),
        ("50%25.bin", "50%25.bin"),
        ("a+b&c.bin", "a+b&c.bin"),
        ("sub/deep.bin", "sub/deep.bin"),
        ("sub/deep.bin", "./sub/../sub/deep.bin"),
        ("sub/deep.bin", "sub%2Fdeep.bin"),
        ("sub/deep.bin", "sub\\deep.bin"),
    ],
)
def test_names_of_buffer_files(tmp_path, square, name, uri):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(bytes(square.data))
    assert same(load(tmp_path, square.gltf(uri), "m.gltf"))


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.bin",
        "%2e%2e/secret.bin",
        "sub/../../secret.bin",
        "..\\secret.bin",
        "/etc/hostname",
        "\\\\host\\share.bin",
        "C:\\secret.bin",
        "c:/secret.bin",
        "file:///etc/hostname",
        "http://example.com/mesh.bin",
        "..",
        ".",
    ],
)
def test_buffers_outside_the_folder_are_refused(tmp_path, square, uri):
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(square.data))
    with pytest.raises(MeshError, match="outside the file's own folder"):
        load(folder, square.gltf(uri), "m.gltf")


@pytest.mark.parametrize("uri", ["not%20there.bin", "a\0b.bin", "x" * 5000])
def test_a_missing_buffer_is_named(tmp_path, square, uri):
    with pytest.raises(MeshError, match=r"its buffer file '(not there|a|xxx).*is not there"):
        load(tmp_path, square.gltf(uri), "m.gltf")


def test_a_folder_and_a_pipe_are_no_buffers(tmp_path, square):
    (tmp_path / "folder.bin").mkdir()
    os.mkfifo(tmp_path / "pipe.bin")
    for uri in ("folder.bin", "pipe.bin"):
        with pytest.raises(MeshError, match="is not there"):
            load(tmp_path, square.gltf(uri), "m.gltf")


def test_a_buffer_file_longer_or_shorter_than_said(tmp_path, square):
    (tmp_path / "long.bin").write_bytes(bytes(square.data) + b"more")
    assert load(tmp_path, square.gltf("long.bin"), "m.gltf").notes == ()
    square.json["bufferViews"].append({"buffer": 0, "byteLength": 4, "byteOffset": 10**6})
    (tmp_path / "short.bin").write_bytes(bytes(square.data))
    document = square.document(uri="short.bin", byteLength=len(square.data) + 500)
    mesh = load(tmp_path, json.dumps(document).encode(), "m.gltf")
    assert same(mesh)
    assert mesh.notes == ("1 buffer(s) are shorter than the file says.",)


def test_the_suffix_may_be_the_other_one(tmp_path, square):
    assert same(load(tmp_path, square.glb(), "m.gltf"))
    assert same(load(tmp_path, square.gltf(), "m.glb"))


@pytest.mark.parametrize("head", [b"\xef\xbb\xbf", b"\n\t "])
def test_marks_and_blanks_before_the_text(tmp_path, square, head):
    assert same(load(tmp_path, head + square.gltf(), "m.gltf"))


def test_text_of_sixteen_bits(tmp_path, square):
    assert same(load(tmp_path, square.gltf().decode().encode("utf-16"), "m.gltf"))


def test_chunks_of_other_kinds_are_left_out(tmp_path, square):
    data = glb(square.document(), bytes(square.data), extra=[(0x12345678, b"abcd"), (0, b"")])
    assert same(load(tmp_path, data))
    data = glb(square.document(), b"", extra=[(0x004E4942, bytes(square.data)), (0x004E4942, b"\0" * 8)])
    assert same(load(tmp_path, data)), "the first binary chunk counts"


def test_bytes_after_the_end_are_counted(tmp_path, square):
    mesh = load(tmp_path, square.glb() + b"12345")
    assert same(mesh)
    assert mesh.notes == ("5 byte(s) after the end of the GLB were left out.",)


def test_a_json_chunk_filled_up_with_zeros(tmp_path, square):
    text = json.dumps(square.document()).encode()
    assert same(load(tmp_path, glb(text + b"\0" * (-len(text) % 4), bytes(square.data))))


BROKEN = {
    "a chunk too long": (lambda glb: glb[:12] + struct.pack("<I", 10**9) + glb[16:], "chunk number 0"),
    "no json first": (lambda glb: glb[:16] + b"ABCD" + glb[20:], "does not begin with JSON"),
    "version 1": (lambda glb: glb[:4] + struct.pack("<I", 1) + glb[8:], "this is glTF 1.0, expected 2.0"),
    "version 3": (lambda glb: glb[:4] + struct.pack("<I", 3) + glb[8:], "version 3"),
    "longer than it is": (lambda glb: glb[:8] + struct.pack("<I", 10**6) + glb[12:], "says 1,000,000 bytes"),
    "a head alone": (lambda glb: glb[:12], "has 12 bytes"),
    "nested too deeply": (lambda glb: b"[" * 100_000, "nested too deeply"),
    "a list": (lambda glb: b"[]", "JSON is a list"),
    "a number": (lambda glb: b"7", "JSON is a int"),
    "not even text": (lambda glb: b"\xff\xfe\xfa\xfb", "not a readable glTF"),
    "an endless number": (lambda glb: b"1" * 6000, "not a readable glTF"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_containers(tmp_path, square, name):
    change, message = BROKEN[name]
    with pytest.raises(MeshError, match=message):
        load(tmp_path, change(square.glb()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"asset": {"version": "1.0"}}, "this is glTF 1.0"),
        ({"asset": {"version": "2.0", "minVersion": "2.1"}}, "this is glTF 2.1"),
        ({"asset": {"version": "3.0"}}, "this is glTF 3.0"),
        ({"asset": {}, "nodes": {"a": {}}}, "this is glTF 1.0"),
        ({"asset": "2.0"}, "asset is '2.0', expected an object"),
        ({"scene": "first"}, "scene is 'first', expected a whole number"),
        ({"scene": -1}, "scene is '-1'"),
        ({"scenes": {"a": 1}}, "scenes is .*expected a list"),
        ({"scenes": [7]}, r"scenes\[0\] is '7', expected an object"),
        ({"nodes": "all"}, "nodes is 'all', expected a list"),
        ({"nodes": [{"mesh": 5}]}, r"points to meshes\[5\], but there are 1"),
        ({"nodes": [{"mesh": 0, "matrix": [1, 2, 3]}]}, r"nodes\[0\].matrix is '3 numbers', expected 16"),
        ({"nodes": [{"mesh": 0, "scale": [1, 2, "3"]}]}, "expected finite numbers"),
        ({"nodes": [{"mesh": 0, "scale": [1, 2, 10**400]}]}, "expected finite numbers"),
        ({"nodes": [{"mesh": 0, "translation": 7}]}, "translation is '7', expected a list"),
        ({"nodes": [{"mesh": 0, "extensions": []}]}, "extensions is .*expected an object"),
        ({"nodes": [{"mesh": 0, "skin": 3}]}, r"points to skins\[3\]"),
        ({"nodes": [{"mesh": 0, "children": ["x"]}]}, r"children\[0\] is 'x'"),
        ({"meshes": [{"primitives": {"a": 1}}]}, r"meshes\[0\].primitives is"),
        ({"meshes": [{"primitives": [{"attributes": [1]}]}]}, r"primitives\[0\].attributes is"),
        ({"meshes": [{"primitives": [{"attributes": {"POSITION": 99}}]}]}, r"accessors\[99\]"),
        ({"meshes": [{"primitives": [{"attributes": {"POSITION": -1}}]}]}, "POSITION is '-1'"),
        ({"extensionsRequired": "KHR_x"}, "extensionsRequired is 'KHR_x', expected a list"),
        ({"extensionsRequired": [1]}, "expected texts"),
        (
            {"buffers": [{"byteLength": 4, "uri": 7}, {}], "bufferViews": [{"buffer": 1, "byteLength": 4}] * 3},
            "neither",
        ),
    ],
)
def test_documents_that_say_what_they_may_not(tmp_path, square, change, message):
    document = square.document() | change
    with pytest.raises(MeshError, match=message):
        load(tmp_path, glb(document, bytes(square.data)))


def test_numbers_that_are_none(tmp_path, square):
    text = json.dumps(square.document()).replace('{"mesh": 0}', '{"mesh": 0, "scale": [NaN, 1, 1]}').encode()
    with pytest.raises(MeshError, match="finite numbers"):
        load(tmp_path, glb(text, bytes(square.data)))


@pytest.mark.parametrize(
    "name",
    [
        "KHR_materials_clearcoat",
        "KHR_materials_pbrSpecularGlossiness",
        "KHR_texture_basisu",
        "KHR_texture_transform",
        "KHR_lights_punctual",
        "EXT_texture_webp",
        "KHR_mesh_quantization",
        "VRMC_vrm",
    ],
)
def test_extensions_that_leave_the_geometry_alone_may_be_required(tmp_path, square, name):
    square.json["extensionsRequired"] = [name]
    assert same(square.load(tmp_path))


@pytest.mark.parametrize(
    "name", ["EXT_made_up", "KHR_gaussian_splatting", "CESIUM_RTC", "KHR_mesh_quantisation", "3DTILES_content_gltf"]
)
def test_any_other_required_extension_is_refused_by_name(tmp_path, square, name):
    square.json["extensionsUsed"] = ["OTHER_thing", name]
    assert same(square.load(tmp_path)), "used, but not required"
    square.json["extensionsRequired"] = ["KHR_mesh_quantization", name]
    with pytest.raises(MeshError, match=f"requires {name}, which is not known here"):
        square.load(tmp_path)


def huge(builder, primitive):
    builder.shown(primitive)
    return builder.glb()


def bombs():
    """Small files that ask for much, each with what is said of it (None: it is read)."""
    count = 4_000_000_000
    builder = Builder()
    zeros = builder.raw_accessor(componentType=5126, count=count, type="VEC3")
    yield "zeros without indices", huge(builder, {"attributes": {"POSITION": zeros}}), "1,333,333,333 triangles"
    builder = Builder()
    indices = builder.raw_accessor(componentType=5125, count=count, type="SCALAR")
    yield "indices of zeros", huge(builder, builder.square() | {"indices": indices}), "1,333,333,333 triangles"
    builder = Builder()
    strip = builder.raw_accessor(componentType=5125, count=count, type="SCALAR")
    yield "a strip of zeros", huge(builder, builder.square() | {"indices": strip, "mode": 5}), "3,999,999,998 triangles"
    builder = Builder()
    zeros = builder.raw_accessor(componentType=5126, count=count, type="VEC3")
    corner = builder.accessor(np.array([0, 1, 3_999_999_999], np.uint32))
    yield "zeros of which three are used", huge(builder, {"attributes": {"POSITION": zeros}, "indices": corner}), None
    builder = Builder()
    bind = builder.raw_accessor(componentType=5126, count=count, type="MAT4")
    builder.json["skins"] = [{"joints": [0], "inverseBindMatrices": bind}]
    joints = builder.accessor(np.zeros((4, 4), np.uint8))
    weights = builder.accessor(np.ones((4, 4), np.float32))
    builder.shown(builder.square(JOINTS_0=joints, WEIGHTS_0=weights), skin=0)
    yield "bind matrices", builder.glb(), None
    builder = Builder()
    sparse = {"count": count, "indices": {"bufferView": 0, "componentType": 5125}, "values": {"bufferView": 0}}
    primitive = builder.square()
    builder.json["accessors"][0] |= {"sparse": sparse}
    yield "sparse rows", huge(builder, primitive), "needs 16,000,000,000 bytes"
    builder = Builder()
    builder.shown(builder.square())
    builder.json["meshes"][0]["primitives"] *= 1001
    builder.json["nodes"] = [{"mesh": 0}] * 1000
    builder.json["scenes"][0]["nodes"] = list(range(1000))
    yield "many nodes of many parts", builder.glb(), "2,002,000 triangles"


@pytest.mark.slow
@pytest.mark.parametrize(("data", "message"), [pytest.param(*bomb[1:], id=bomb[0]) for bomb in bombs()])
def test_small_files_that_ask_for_much_cost_little(tmp_path, data, message):
    tracemalloc.start()
    started = time.process_time()
    try:
        if message is None:
            load(tmp_path, data)
        else:
            with pytest.raises(MeshError, match=message):
                load(tmp_path, data)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    # A twentieth of a second without the checks of types that the tests add; what grows with the square takes an hour.
    assert time.process_time() - started < 60
