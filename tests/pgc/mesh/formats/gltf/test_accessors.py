# SPDX-License-Identifier: Apache-2.0
"""Numbers out of bytes: the fast reader against the slow one, and against what files have done wrong."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgc.errors import MeshError
from pgc.mesh.formats.gltf.binary.accessors import open_accessor
from pgc.mesh.formats.gltf.binary.buffers import Buffers
from pgc.mesh.formats.gltf.document import parse_document
from tests.pgc.mesh.formats.gltf.builder import SQUARE, SQUARE_UVS, Builder, corners, flipped, uv_corners
from tests.pgc.mesh.formats.gltf.reference import COUNTS, FORMATS, decode

SIZES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
TYPES = ("SCALAR", "VEC2", "VEC3", "VEC4")


def opened(builder, index):
    document = parse_document("m.glb", builder.glb())
    return open_accessor(Buffers(document, Path()), index, TYPES), document


@st.composite
def files(draw):
    """A builder with one accessor of any kind: strided, with an offset, normalized, sparse, without bytes."""
    builder = Builder()
    kind, component = draw(st.sampled_from(TYPES)), draw(st.sampled_from(sorted(FORMATS)))
    size, count = COUNTS[kind] * SIZES[component], draw(st.integers(1, 9))
    entry = {"type": kind, "componentType": component, "count": count}
    if draw(st.booleans()):
        entry["normalized"] = draw(st.booleans())
    if draw(st.booleans()):
        stride = draw(st.one_of(st.none(), st.integers(size, size + 9)))
        before, after = draw(st.integers(0, 5)), draw(st.integers(0, 3))
        length = before + (stride or size) * (count - 1) + size + after
        more = {} if stride is None else {"byteStride": stride}
        builder.view(draw(st.binary(min_size=3, max_size=3)))
        entry["bufferView"] = builder.view(draw(st.binary(min_size=length, max_size=length)), **more)
        entry["byteOffset"] = before
    if draw(st.booleans()):
        rows = sorted(draw(st.sets(st.integers(0, count - 1), min_size=1)))
        index = draw(st.sampled_from((5121, 5123, 5125)))
        letter = {5121: "<u1", 5123: "<u2", 5125: "<u4"}[index]
        values = draw(st.binary(min_size=len(rows) * size, max_size=len(rows) * size))
        entry["sparse"] = {
            "count": len(rows),
            "indices": {"bufferView": builder.view(np.array(rows, letter).tobytes()), "componentType": index},
            "values": {"bufferView": builder.view(values)},
        }
    builder.raw_accessor(**entry)
    return builder


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(files(), st.randoms(use_true_random=False))
def test_the_fast_reader_equals_the_slow_one(builder, random):
    found, _ = opened(builder, 0)
    slow = np.array(decode(builder.json, bytes(builder.data), 0))
    rows = np.array([random.randrange(found.count) for _ in range(12)], np.int64)
    np.testing.assert_array_equal(found.floats(rows), slow[rows])


@pytest.mark.parametrize(
    ("dtype", "scale"), [("u1", 255), ("u2", 65535), ("i1", 127), ("i2", 32767)], ids=["u8", "u16", "i8", "i16"]
)
def test_normalized_uvs_and_positions(tmp_path, dtype, scale):
    builder = Builder()
    uvs = builder.accessor(np.round(SQUARE_UVS * scale).astype(dtype), normalized=True)
    positions = builder.accessor(np.round(SQUARE * scale).astype(dtype), normalized=True)
    mesh = builder.shown(builder.square(TEXCOORD_0=uvs, POSITION=positions)).load(tmp_path)
    np.testing.assert_allclose(uv_corners(mesh)[0], flipped(SQUARE_UVS)[[0, 1, 2]], atol=1 / scale)
    np.testing.assert_array_equal(corners(mesh)[0], SQUARE[[0, 1, 2]])


def test_the_least_signed_number_is_minus_one(tmp_path):
    builder = Builder()
    positions = builder.accessor(np.array([(-128, -127, 0), (127, 0, 0), (0, 127, 0)], np.int8), normalized=True)
    mesh = builder.shown({"attributes": {"POSITION": positions}}).load(tmp_path)
    assert mesh.positions[0].tolist() == [-1, -1, 0]


def test_quantized_positions_keep_their_numbers_and_the_node_scales_them(tmp_path):
    builder = Builder()
    builder.json["extensionsRequired"] = ["KHR_mesh_quantization"]
    positions = builder.accessor((SQUARE * 4095).astype(np.uint16))
    mesh = builder.shown(builder.square(POSITION=positions), scale=[1 / 4095] * 3).load(tmp_path)
    np.testing.assert_allclose(corners(mesh)[0], SQUARE[[0, 1, 2]], rtol=1e-15)


def test_interleaved_attributes_of_one_view(tmp_path):
    builder = Builder()
    rows = np.concatenate([SQUARE, SQUARE_UVS, SQUARE], axis=1)
    view = builder.view(rows.tobytes(), byteStride=32)
    primitive = builder.square(
        POSITION=builder.accessor(SQUARE, view=view),
        TEXCOORD_0=builder.accessor(SQUARE_UVS, view=view, byteOffset=12),
    )
    mesh = builder.shown(primitive).load(tmp_path)
    np.testing.assert_array_equal(corners(mesh)[1], SQUARE[[0, 2, 3]])
    np.testing.assert_array_equal(uv_corners(mesh)[1], flipped(SQUARE_UVS)[[0, 2, 3]])


def sparse(builder, rows, values, base=None, dtype=np.uint16, **more):
    entry = {"componentType": 5126, "count": 4, "type": "VEC3"} | ({} if base is None else {"bufferView": base}) | more
    indices = {"bufferView": builder.view(np.array(rows, dtype).tobytes())}
    indices["componentType"] = {np.uint8: 5121, np.uint16: 5123, np.uint32: 5125, np.float32: 5126}[dtype]
    views = {"bufferView": builder.view(np.array(values, np.float32).tobytes())}
    return builder.raw_accessor(**entry, sparse={"count": len(rows), "indices": indices, "values": views})


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_sparse_positions_over_a_base_and_over_nothing(tmp_path, dtype):
    builder = Builder()
    over = sparse(builder, [2], [(9, 8, 7)], builder.view(SQUARE.tobytes()), dtype)
    alone = sparse(builder, [1, 2, 3], SQUARE[1:], None, dtype)
    mesh = builder.shown(builder.square(POSITION=over), builder.square(POSITION=alone)).load(tmp_path)
    assert corners(mesh)[0].tolist() == [[0, 0, 0], [1, 0, 0], [9, 8, 7]]
    np.testing.assert_array_equal(corners(mesh)[2], SQUARE[[0, 1, 2]])


def test_sparse_rows_out_of_order_twice_and_past_the_end(tmp_path):
    builder = Builder()
    base = builder.view(SQUARE.tobytes())
    position = sparse(builder, [3, 1, 3, 4], [(0, 0, 5), (6, 0, 0), (0, 0, 7), (1, 1, 1)], base)
    mesh = builder.shown(builder.square(POSITION=position)).load(tmp_path)
    assert corners(mesh)[1].tolist() == [[0, 0, 0], [1, 1, 0], [0, 0, 7]]
    assert corners(mesh)[0, 1].tolist() == [6, 0, 0]
    assert mesh.notes == ("1 sparse value(s) that point past their accessor were left out.",)


def test_whole_numbers_written_as_floats_are_read(tmp_path):
    builder = Builder()
    builder.shown(builder.square())
    for accessor in builder.json["accessors"]:
        accessor["count"] = float(accessor["count"])
    assert len(builder.load(tmp_path).polygon_sizes) == 2


WRONG = {
    "past the view": ({"count": 5}, "needs 60 bytes of a buffer view that has 48"),
    "an offset past the view": ({"byteOffset": 4}, "needs 52 bytes"),
    "negative count": ({"count": -4}, "is '-4', expected a whole number"),
    "negative offset": ({"byteOffset": -4}, "expected a whole number"),
    "no count": ({"count": None}, "is 'nothing', expected a number"),
    "count as text": ({"count": "4"}, "is '4', expected a whole number"),
    "half a count": ({"count": 3.5}, "expected a whole number"),
    "true as a count": ({"count": True}, "expected a whole number"),
    "unknown component": ({"componentType": 5127}, "component type 5127"),
    "wrong type": ({"type": "VEC2"}, "of type 'VEC2', expected VEC3"),
    "unknown type": ({"type": 3}, "expected VEC3"),
    "no such view": ({"bufferView": 99}, r"points to bufferViews\[99\], but there are 3"),
    "view as text": ({"bufferView": "x"}, "expected a whole number"),
    "sparse as a list": ({"sparse": [1]}, "sparse is '.1.', expected an object"),
    "sparse of nothing": ({"sparse": {"count": 1}}, "bufferView is 'nothing'"),
    "a huge number": ({"count": 10**400}, "expected a whole number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_an_accessor_may_not_say_is_one_sentence(tmp_path, name):
    change, message = WRONG[name]
    builder = Builder()
    builder.shown(builder.square())
    builder.json["accessors"][0] |= change
    with pytest.raises(MeshError, match=message):
        builder.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"byteLength": 10**12}, "reads bytes 0 to 1,000,000,000,000"),
        ({"byteOffset": 400}, "reads bytes 400 to 448 of a buffer that has 92"),
        ({"buffer": 1}, r"points to buffers\[1\]"),
        ({"byteStride": 252}, "needs 768 bytes"),
        ({"byteStride": -12}, "expected a whole number"),
        ({"byteLength": None}, "'nothing'"),
    ],
)
def test_what_a_view_may_not_say_is_one_sentence(tmp_path, change, message):
    builder = Builder()
    builder.shown(builder.square())
    builder.json["bufferViews"][0] |= change
    with pytest.raises(MeshError, match=message):
        builder.load(tmp_path)


def test_sparse_indices_that_are_no_whole_numbers_are_refused(tmp_path):
    builder = Builder()
    position = sparse(builder, [1.0], [(1, 1, 1)], builder.view(SQUARE.tobytes()), np.float32)
    with pytest.raises(MeshError, match="no whole numbers"):
        builder.shown(builder.square(POSITION=position)).load(tmp_path)
