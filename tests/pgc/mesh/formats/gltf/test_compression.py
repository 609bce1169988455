# SPDX-License-Identifier: Apache-2.0
"""Draco and meshopt: what their own encoders made, what a simple encoder makes, and damaged bytes."""

import base64
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgc.errors import MeshError
from pgc.mesh.formats.gltf import read_gltf
from pgc.mesh.formats.gltf.binary.meshopt import decode_meshopt
from pgc.mesh.formats.gltf.binary.meshopt_attributes import decode_attributes
from pgc.mesh.formats.gltf.binary.meshopt_indices import decode_indices
from pgc.mesh.formats.gltf.fields import Fields
from tests.pgc.mesh.formats.gltf.builder import SQUARE, SQUARE_FACES, SQUARE_UVS, Builder, corners, flipped, uv_corners

VECTORS = json.loads(Path(__file__).with_name("meshopt_vectors.json").read_text())["vectors"]


def packed(vector, **change):
    names = {"count": vector["count"], "byteStride": vector["stride"], "mode": vector["mode"]}
    return Fields("m.glb", "bufferViews[0]", {**names, "filter": vector["filter"], **change})


@pytest.mark.slow
@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_meshopt_decodes_what_its_own_encoder_made(vector):
    found = decode_meshopt(packed(vector), memoryview(base64.b64decode(vector["encoded"])))
    expected = base64.b64decode(vector["decoded"])
    if vector["filter"] == "OCTAHEDRAL":
        # The extension's text allows a difference of one unit.
        kind = "i1" if vector["stride"] == 4 else "<i2"
        apart = np.frombuffer(found, kind).astype(int) - np.frombuffer(expected, kind)
        assert np.abs(apart).max() <= 1
    else:
        assert found == expected


def zigzag(delta):
    return ((delta << 1) ^ -(delta >> 7)) & 255 if delta < 128 else ((~((delta - 256) << 1)) & 255)


def encode_column(values, last, choose):
    """One byte of a block's rows: any mode that can hold a group, as `choose` picks."""
    deltas = [zigzag((value - before) % 256) for before, value in zip([last, *values[:-1]], values, strict=True)]
    deltas += [0] * (-len(deltas) % 16)
    header, body = [], b""
    for start in range(0, len(deltas), 16):
        group = deltas[start : start + 16]
        mode = choose(4) if not any(group) else 1 + choose(3)
        header.append(mode)
        if mode == 3:
            body += bytes(group)
        elif mode > 0:
            bits = 2 * mode
            sentinel = (1 << bits) - 1
            number = 0
            for delta in group:
                number = (number << bits) | min(delta, sentinel)
            body += number.to_bytes(2 * bits, "big") + bytes(delta for delta in group if delta >= sentinel)
    header += [0] * (-len(header) % 4)
    packed_bits = bytes(sum(header[i + k] << (2 * k) for k in range(4)) for i in range(0, len(header), 4))
    return packed_bits + body


def encode_attributes(rows, choose):
    """The attribute codec as the extension's text describes it, without care for size."""
    count, stride = rows.shape
    block = min((8192 // stride) & ~15, 256)
    baseline = [7] * stride
    out, last = b"\xa0", baseline
    for start in range(0, count, block):
        part = rows[start : start + block].tolist()
        for column in range(stride):
            out += encode_column([row[column] for row in part], last[column], choose)
        last = part[-1]
    return out + bytes(max(32 - stride, 0)) + bytes(baseline)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_meshopt_attributes_survive_a_simple_encoder(data):
    count, stride = data.draw(st.integers(1, 300)), data.draw(st.sampled_from((4, 8, 12, 36, 64)))
    seed, spread = data.draw(st.integers(0, 999)), data.draw(st.sampled_from((1, 2, 9, 256)))
    rng = np.random.default_rng(seed)
    rows = np.cumsum(rng.integers(0, spread, (count, stride)), axis=0).astype(np.uint8)
    encoded = encode_attributes(rows, lambda most: int(rng.integers(0, most)))
    np.testing.assert_array_equal(decode_attributes(encoded, count, stride), rows)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 1)), max_size=40))
def test_meshopt_indices_survive_a_simple_encoder(numbers):
    out, last = b"\xd1", [0, 0]
    for number, baseline in numbers:
        step = number - last[baseline]
        last[baseline] = number
        value = ((step << 1) ^ (step >> 31)) << 1 | baseline
        while value > 127:
            out += bytes([value & 127 | 128])
            value >>= 7
        out += bytes([value])
    found = decode_indices(out + bytes(4), len(numbers))
    assert found.tolist() == [number for number, _ in numbers]


def meshopt_view(builder, data, count, stride, mode="ATTRIBUTES", **more):
    """A view that holds nothing itself, as gltfpack writes it; its bytes stand in the extension."""
    builder.data += b"\0" * (-len(builder.data) % 4)
    extension = {"buffer": 0, "byteOffset": len(builder.data), "byteLength": len(data), "count": count}
    extension |= {"byteStride": stride, "mode": mode, **more}
    builder.data += data
    builder.json["bufferViews"].append(
        {"buffer": 1, "byteLength": count * stride, "extensions": {"EXT_meshopt_compression": extension}}
    )
    return len(builder.json["bufferViews"]) - 1


def compressed_square(change=lambda data: data):
    builder = Builder()
    rows = np.concatenate([SQUARE.view(np.uint8), SQUARE_UVS.view(np.uint8)], axis=1)
    view = meshopt_view(builder, change(encode_attributes(rows, lambda most: most - 1)), 4, 20)
    builder.json["bufferViews"][view]["byteStride"] = 20
    triangles = b"\xe1\xf0\x10" + b"\0" * 16
    index_view = meshopt_view(builder, triangles, 6, 2, "TRIANGLES")
    position = builder.raw_accessor(componentType=5126, type="VEC3", count=4, bufferView=view)
    uv = builder.raw_accessor(componentType=5126, type="VEC2", count=4, bufferView=view, byteOffset=12)
    indices = builder.raw_accessor(componentType=5123, type="SCALAR", count=6, bufferView=index_view)
    builder.shown({"attributes": {"POSITION": position, "TEXCOORD_0": uv}, "indices": indices})
    builder.json["extensionsRequired"] = ["EXT_meshopt_compression"]
    return builder


def test_a_mesh_of_meshopt_views(tmp_path):
    mesh = compressed_square().load(tmp_path)
    faces = mesh.corner_positions.reshape(-1, 3)
    np.testing.assert_array_equal(corners(mesh), SQUARE[faces])
    np.testing.assert_array_equal(uv_corners(mesh), flipped(SQUARE_UVS)[faces])
    assert faces[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("vector", "change", "message"),
    [
        (0, {"mode": "STRIPS"}, "its mode is 'STRIPS'"),
        (0, {"count": 4_000_000_000}, "cannot hold 4,000,000,000 rows"),
        (0, {"byteStride": 6}, "a stride of 6 bytes"),
        (0, {"byteStride": 0}, "a stride of 0 bytes"),
        (0, {"byteStride": 260}, "cannot hold"),
        (0, {"filter": "SEPIA"}, "filter 'SEPIA'"),
        (0, {"filter": "QUATERNION"}, "filter 'QUATERNION' for rows of 4 bytes"),
        (0, {"mode": "TRIANGLES", "count": 3}, "not version 1 of the triangle codec"),
        (0, {"mode": "INDICES", "count": 2}, "not version 1 of the index codec"),
        (0, {"count": None}, "count is 'nothing'"),
    ],
)
def test_what_meshopt_may_not_say_is_one_sentence(vector, change, message):
    data = memoryview(base64.b64decode(VECTORS[vector]["encoded"]))
    with pytest.raises(MeshError, match=message):
        decode_meshopt(packed(VECTORS[vector], **change), data)


@pytest.mark.slow
@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_damaged_meshopt_bytes_are_one_sentence_or_other_numbers(vector):
    data = base64.b64decode(vector["encoded"])
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        changed = bytearray(data[: int(rng.integers(0, len(data) + 1))] if rng.random() < 0.5 else data)
        for _ in range(int(rng.integers(0, 4))):
            if changed:
                changed[int(rng.integers(0, len(changed)))] = int(rng.integers(0, 256))
        try:
            found = decode_meshopt(packed(vector), memoryview(bytes(changed)))
            assert len(found) == vector["count"] * vector["stride"]
        except MeshError:
            refused += 1
    assert refused > 0


def test_an_unknown_attribute_codec_is_refused_by_a_sentence(tmp_path):
    builder = compressed_square(lambda data: b"\xa2" + data[1:])
    with pytest.raises(MeshError, match=r"an unknown version of the attribute codec.*export it uncompressed"):
        builder.load(tmp_path)


def draco_square(required=True, **change):
    draco = pytest.importorskip("DracoPy")
    data = draco.encode(
        SQUARE, SQUARE_FACES.astype(np.uint32), tex_coord=SQUARE_UVS.astype(np.float64), quantization_bits=14,
        preserve_order=True,
    )  # fmt: skip
    decoded = draco.decode(data)
    ids = {attribute["attribute_type"]: attribute["unique_id"] for attribute in decoded.attributes}
    builder = Builder()
    extension = {"bufferView": builder.view(data), "attributes": {"POSITION": ids[0], "TEXCOORD_0": ids[3]}} | change
    named = {
        "POSITION": builder.raw_accessor(componentType=5126, type="VEC3", count=4),
        "TEXCOORD_0": builder.raw_accessor(componentType=5126, type="VEC2", count=4),
    }
    indices = builder.raw_accessor(componentType=5123, type="SCALAR", count=6)
    primitive = {"attributes": named, "indices": indices, "extensions": {"KHR_draco_mesh_compression": extension}}
    builder.shown(primitive, translation=[0, 0, 1])
    if required:
        builder.json["extensionsRequired"] = ["KHR_draco_mesh_compression"]
    return builder


def test_draco_is_decoded(tmp_path):
    mesh = draco_square().load(tmp_path)
    faces = mesh.corner_positions.reshape(-1, 3)
    assert len(faces) == 2
    rounded = np.round(mesh.positions, 3)
    assert {tuple(row) for row in rounded} == {(0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)}
    order = [int(np.argmin(np.abs(SQUARE + np.array([0, 0, 1]) - row).sum(axis=1))) for row in mesh.positions]
    np.testing.assert_allclose(mesh.uvs, flipped(SQUARE_UVS)[order], atol=1e-3)


def test_draco_beside_uncompressed_data_is_not_needed(tmp_path):
    builder = draco_square(required=False)
    builder.json["accessors"][0]["bufferView"] = builder.view((SQUARE + np.float32([5, 0, 0])).tobytes())
    builder.json["accessors"][1]["bufferView"] = builder.view(SQUARE_UVS.tobytes())
    builder.json["accessors"][2]["bufferView"] = builder.view(SQUARE_FACES.tobytes())
    np.testing.assert_array_equal(corners(builder.load(tmp_path)), SQUARE[SQUARE_FACES] + [5, 0, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attributes": {"POSITION": 77}}, r"has no usable attribute number 77 \(POSITION\)"),
        ({"bufferView": 9}, r"points to bufferViews\[9\]"),
        ({"bufferView": None}, "bufferView is 'nothing'"),
    ],
)
def test_damaged_draco_descriptions(tmp_path, change, message):
    with pytest.raises(MeshError, match=message):
        draco_square(**change).load(tmp_path)


@pytest.mark.parametrize("place", [0, 5, 12, 30])
def test_damaged_draco_bytes_are_one_sentence(tmp_path, place):
    builder = draco_square()
    view = builder.json["bufferViews"][0]
    view["byteLength"] = place
    with pytest.raises(MeshError, match=r"Draco data of .* cannot be decoded"):
        builder.load(tmp_path)


def test_draco_positions_of_two_numbers_are_refused(tmp_path):
    builder = draco_square()
    named = builder.json["meshes"][0]["primitives"][0]["extensions"]["KHR_draco_mesh_compression"]["attributes"]
    named["POSITION"] = named["TEXCOORD_0"]
    with pytest.raises(MeshError, match="has no usable attribute number"):
        builder.load(tmp_path)


@pytest.mark.slow
def test_any_changed_draco_bytes_are_one_sentence_or_a_mesh():
    builder = draco_square()
    view = builder.json["bufferViews"][0]
    part = slice(view["byteOffset"], view["byteOffset"] + view["byteLength"])
    whole = bytes(builder.data[part])
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(200):
        changed = bytearray(whole)
        for _ in range(int(rng.integers(1, 4))):
            changed[int(rng.integers(0, len(changed)))] = int(rng.integers(0, 256))
        builder.data[part] = changed
        try:
            read_gltf(Path("m.glb"), builder.glb())
        except MeshError:
            refused += 1
    assert 0 < refused < 200


def test_without_dracopy_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    builder = draco_square()
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    with pytest.raises(MeshError, match=r"KHR_draco_mesh_compression.*pip install DracoPy"):
        builder.load(tmp_path)
