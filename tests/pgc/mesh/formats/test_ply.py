# SPDX-License-Identifier: Apache-2.0
"""PLY files as others write them, in all three encodings."""

import struct
from pathlib import Path

import numpy as np
import pytest

from pgc.errors import MeshError
from pgc.mesh.formats.ply import read_ply

ENCODINGS = {"ascii": None, "binary_little_endian": "<", "binary_big_endian": ">"}
CODES = {"char": "b", "uchar": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I", "float": "f", "double": "d"}
SQUARE = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (2, 0, 0)]


def ply(elements, encoding="ascii", *, head=(), end="\n"):
    """A file of elements (name, properties as in the header, rows of values or lists)."""
    order = ENCODINGS[encoding]
    lines = ["ply", f"format {encoding} 1.0", *head]
    body = b""
    for name, properties, rows in elements:
        lines += [f"element {name} {len(rows)}", *(f"property {text}" for text in properties)]
        for row in rows:
            words: list[str] = []
            for text, value in zip(properties, row, strict=True):
                kinds = text.split()
                if kinds[0] == "list":
                    values, codes = [len(value), *value], CODES[kinds[1]] + CODES[kinds[2]] * len(value)
                else:
                    values, codes = [value], CODES[kinds[0]]
                words += [repr(item) for item in values]
                if order:
                    body += struct.pack(order + codes, *values)
            if not order:
                body += (" ".join(words) + end).encode()
    return (end.join([*lines, "end_header"]) + end).encode() + body


def read(data):
    return read_ply(Path("m.ply"), data)


XYZ = ("float x", "float y", "float z")
INDICES = "list uchar int vertex_indices"
VERTEX = ("vertex", XYZ, SQUARE)
FACE = ("face", (INDICES,), [((0, 1, 2, 3),), ((1, 4, 2),)])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_uvs_on_face_corners_win(encoding):
    uvs = [(0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0), (0.5, 0.0, 1.0, 0.0, 0.5, 0.25)]
    rows = [(*face, uv, 0) for face, uv in zip(FACE[2], uvs, strict=True)]
    vertex = ("vertex", (*XYZ, "float s", "float t"), [(*point, 9.0, 9.0) for point in SQUARE])
    face = ("face", (INDICES, "list uchar float texcoord", "int texnumber"), rows)
    mesh = read(ply([vertex, face], encoding, head=("comment TextureFile a.png",)))
    assert mesh.polygon_sizes.tolist() == [4, 3]
    assert mesh.uvs[mesh.corner_uvs].tolist() == np.array([*uvs[0], *uvs[1]]).reshape(-1, 2).tolist()
    assert mesh.material_names == ("",)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_texture_numbers_are_materials(encoding):
    rows = [(*face, number) for face, number in zip(FACE[2], (1, 0), strict=True)]
    head = ("comment TextureFile wall paper.png", "comment TextureFile roof.png")
    mesh = read(ply([VERTEX, ("face", (INDICES, "int texnumber"), rows)], encoding, head=head))
    assert mesh.material_names == ("wall paper.png", "roof.png")
    assert mesh.material_index.tolist() == [1, 0]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_face_with_too_few_uvs_has_none(encoding):
    rows = [((0, 1, 2, 3), (0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0)), ((1, 4, 2), (0.5, 0.0))]
    mesh = read(ply([VERTEX, ("face", (INDICES, "list uchar float texcoord"), rows)], encoding))
    assert (mesh.corner_uvs >= 0).tolist() == [True] * 4 + [False] * 3
    assert mesh.notes == ("Read as without UVs: 1 face with none, or too few.",)


@pytest.mark.parametrize("names", ["s t", "u v", "texture_u texture_v", "texture_s texture_t", "S T", "tx ty"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_uvs_on_vertices_by_any_of_their_names(names, encoding):
    properties = (*XYZ, *(f"float {name}" for name in names.split()))
    vertex = ("vertex", properties, [(*point, point[0] / 2, point[1] / 4) for point in SQUARE])
    mesh = read(ply([vertex, FACE], encoding))
    np.testing.assert_array_equal(mesh.uvs, np.array(SQUARE)[:, :2] / [2, 4])
    np.testing.assert_array_equal(mesh.corner_uvs, mesh.corner_positions)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_doubles_keep_all_their_bits_and_extra_elements_do_no_harm(encoding):
    points = np.random.default_rng(0).normal(size=(5, 3)) + np.array([5e5, 5.4e6, 0])
    elements = [
        ("camera", ("float view_px",), [(0.5,)]),
        ("vertex", ("double x", "list uchar short bones", "double y", "uchar flags", "double z"),
         [(x, (1,) * (i % 3), y, 7, z) for i, (x, y, z) in enumerate(points.tolist())]),
        ("edge", ("int vertex1", "int vertex2"), [(0, 1)] * 3),
        ("face", ("uchar quality", INDICES, "list int float bag"),
         [(9, *row, (0.5,) * i) for i, row in enumerate(FACE[2])]),
        ("material", ("int ambient",), [(3,)]),
    ]  # fmt: skip
    mesh = read(ply(elements, encoding, head=("comment a b", "obj_info num_cols 512", "comment end_header no")))
    assert mesh.positions.tobytes() == points.tobytes()
    assert mesh.polygon_sizes.tolist() == [4, 3]
    assert mesh.corner_positions.tolist() == [0, 1, 2, 3, 1, 4, 2]
    assert mesh.notes == ()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_and_case(encoding, end):
    data = ply([VERTEX, FACE], encoding, end=end)
    at = data.index(b"end_header")
    for changed in (
        data,
        b"\xef\xbb\xbf" + data,
        data[:at].replace(b"ply", b"PLY").replace(b"float", b"FLOAT") + data[at:],
    ):
        mesh = read(changed)
        assert mesh.positions.tolist() == [list(map(float, point)) for point in SQUARE]
        assert mesh.corner_positions.tolist() == [0, 1, 2, 3, 1, 4, 2]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_strips_become_triangles(encoding):
    strips = ("tristrips", ("list int int vertex_indices",), [((0, 1, 3, 2, -1, 1, 4, 2, 2),), ((0, 1),)])
    mesh = read(ply([VERTEX, strips], encoding))
    assert mesh.corner_positions.reshape(-1, 3).tolist() == [[0, 1, 3], [3, 1, 2], [1, 4, 2]]
    assert mesh.notes == ("Left out 1 triangle of strips that repeat a corner.",)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [("uchar", (255, 128, 0, 255), (1, 0.2158, 0, 1)), ("float", (1.0, 0.5, 0.0, 0.5), (1, 0.2140, 0, 0.5)),
     ("ushort", (65535, 0, 0, 0), (1, 0, 0, 0))],
)  # fmt: skip
def test_vertex_colours_become_linear(kind, values, expected):
    properties = (*XYZ, *(f"{kind} {name}" for name in ("red", "green", "blue", "alpha")))
    mesh = read(ply([("vertex", properties, [(*point, *values) for point in SQUARE]), FACE]))
    np.testing.assert_allclose(mesh.colors, np.tile(expected, (5, 1)), atol=1e-3)
    np.testing.assert_array_equal(mesh.corner_colors, mesh.corner_positions)
    without = read(ply([("vertex", properties[:6], [(*point, *values[:3]) for point in SQUARE]), FACE]))
    np.testing.assert_allclose(without.colors[:, 3], 1.0)


MANY = [((0, 1, 2, 3),)] * 20
ODD = {
    "two corners": ([((0, 1),)] * 9, "Left out 9 faces with fewer than 3 corners."),
    "no corners": ([((),)], "Left out 1 face with fewer than 3 corners."),
    "beyond": ([((0, 1, 5),)], "Left out 1 face whose vertices are not there or are no numbers."),
    "negative": ([((0, 1, -1),)], "Left out 1 face whose vertices are not there or are no numbers."),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("rows", "note"), ODD.values(), ids=ODD.keys())
def test_an_odd_face_costs_itself(encoding, rows, note):
    mesh = read(ply([VERTEX, ("face", (INDICES,), rows + MANY)], encoding))
    assert mesh.polygon_sizes.tolist() == [4] * 20
    assert mesh.notes == (note,)


def test_a_text_line_that_cannot_be_read_costs_itself():
    data = ply([VERTEX, ("face", (INDICES,), MANY)])
    for old, new in ((b"4 0 1 2 3\n", b"4 0 1 zwei 3\n"), (b"4 0 1 2 3\n", b"4 0 1\n")):
        mesh = read(data.replace(old, new, 1))
        assert len(mesh.polygon_sizes) == 19
        assert mesh.notes == ("1 line of the PLY's face could not be read.", "Left out 1 face that could not be read.")
    for count in (b"1e400", b"-1e400", b"1e9", b"nan"):
        mesh = read(data.replace(b"4 0 1 2 3\n", count + b" 0 1 2 3\n", 1))
        assert mesh.notes[1] == "Left out 1 face that could not be read."
    extra = read(data.replace(b"4 0 1 2 3\n", b"4 0 1 2 3 255 0 0\n", 1))
    assert len(extra.polygon_sizes) == 20
    nan = read(data.replace(b"2 0 0\n", b"nan 0 0\n"))
    assert len(nan.polygon_sizes) == 20


HUGE = {
    "vertices": (
        b"element vertex 5",
        b"element vertex 999999999999",
        "999,999,999,999 rows of 'vertex' but has at most",
    ),
    "faces": (b"element face 2", b"element face 4000000000", "4,000,000,000 rows of 'face' but has at most"),
    "negative": (b"element vertex 5", b"element vertex -5", "header line 'element vertex -5' cannot be read"),
    "no number": (b"element vertex 5", b"element vertex many", "header line 'element vertex many' cannot be read"),
    "unknown type": (b"property float x", b"property quad x", "header line 'property quad x' cannot be read"),
    "float count": (b"list uchar int", b"list float int", "header line 'property list float int vertex"),
    "no format": (b"format ", b"comment ", "no 'format'"),
    "strange format": (b"format ", b"format x", "header line 'format x"),
    "property first": (b"element vertex 5", b"property float y", "header line 'property float y' cannot be read"),
    "no x": (b"property float x", b"property float w", "no vertices with x, y and z"),
    "no indices": (b"vertex_indices", b"indices", "the PLY has no faces"),
    "not ply": (b"ply", b"plyx", "not a PLY"),
    "no end": (b"end_header", b"end_of_head", "no 'end_header'|no 'format'"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("old", "new", "message"), HUGE.values(), ids=HUGE.keys())
def test_a_header_that_lies_gives_one_sentence(encoding, old, new, message):
    with pytest.raises(MeshError, match=message):
        read(ply([VERTEX, FACE], encoding).replace(old, new, 1))


@pytest.mark.parametrize("encoding", ["binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("count", ["int", "char"])
def test_a_list_that_lies_about_its_length_gives_one_sentence(encoding, count):
    for length in (-1, 127, 2**31 - 1):
        face = ("face", (f"list {count} int vertex_indices",), [((0, 1, 2),), ((0, 1, 2, 3),)])
        data = bytearray(ply([VERTEX, face], encoding))
        code = ENCODINGS[encoding] + CODES[count]
        size = struct.calcsize(code)
        if length < 2 ** (8 * size - 1):
            at = len(data) - 2 * size - 7 * 4
            data[at : at + size] = struct.pack(code, length)
            with pytest.raises(MeshError, match="rows of 'face' but has at most 0"):
                read(bytes(data))


def test_cut_off_after_the_faces_is_whole():
    data = ply([VERTEX, FACE, ("edge", ("int vertex1", "int vertex2"), [(0, 1)] * 3)], "binary_little_endian")
    assert len(read(data[:-5]).polygon_sizes) == 2


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_too_big_is_refused_before_it_is_read(monkeypatch, encoding):
    data = ply([VERTEX, FACE], encoding)
    monkeypatch.setattr("pgc.mesh.formats.ply_body.MAX_TRIANGLES", 1)
    with pytest.raises(MeshError, match="the mesh has 2 faces, at most 1 triangles"):
        read(data)
    monkeypatch.setattr("pgc.mesh.formats.ply_body.MAX_TRIANGLES", 2)
    monkeypatch.setattr("pgc.mesh.formats.ply_body._MOST_UNEVEN_ROWS", 1)
    if encoding != "ascii":
        with pytest.raises(MeshError, match="2 rows of 'face' with lists of several lengths, expected at most 1"):
            read(data)
    monkeypatch.setattr("pgc.mesh.formats.ply_body._LONGEST_LINE", 4)
    if encoding == "ascii":
        with pytest.raises(MeshError, match=r"2 of 2 faces cannot be read|vertex position"):
            read(data.replace(b"3 1 4 2", b"x 1 4 2"))
