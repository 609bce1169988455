# SPDX-License-Identifier: Apache-2.0
"""STL files as others write them: binary when their size says so, else text."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from pgc.errors import MeshError
from pgc.mesh.formats.stl import read_stl

BOX = trimesh.creation.box((0.3, 0.7, 1.1))
BINARY = BOX.export(file_type="stl")
TEXT = BOX.export(file_type="stl_ascii").encode()


def read(data):
    return read_stl(Path("m.stl"), data)


def corners(mesh):
    return mesh.positions[mesh.corner_positions]


def head(text):
    return text.ljust(80, b" ") + BINARY[80:]


WRITTEN = {
    "binary": BINARY,
    "binary that begins with solid": head(b"solid facet normal vertex endsolid"),
    "binary that begins with a mark": head(b"\xef\xbb\xbfsolid"),
    "binary of zeros": head(b"\0"),
    "text": TEXT,
    "upper case": TEXT.upper(),
    "windows": TEXT.replace(b"\n", b"\r\n"),
    "old mac": TEXT.replace(b"\n", b"\r"),
    "mark": b"\xef\xbb\xbf" + TEXT,
    "blank lines first": b"\n \t\n" + TEXT,
    "long name": TEXT.replace(b"solid", b"solid my part, v2 (final) endless facet-wise " + b"x" * 9000, 1),
    "name on the end": TEXT.rstrip() + b" my part\n\n; made by hand\n" + b"y" * 9000,
    "end solid": TEXT.replace(b"endsolid", b"end solid"),
    "underscores": TEXT.replace(b"endsolid", b"endsolid_part").replace(b"solid \n", b"solid_part\n", 1),
    "words of the format as name": TEXT.replace(b"solid", b"solid vertex 1 2 3 facet endfacet vertex", 1),
    "tabs": TEXT.replace(b" ", b"\t"),
    "no blanks in front": b"\n".join(line.strip() for line in TEXT.splitlines()),
    "several solids": TEXT.replace(b"endloop\nendfacet\n", b"endloop\nendfacet\nendsolid\nsolid b\n", 3),
    "empty solid": b"solid none\nendsolid none\n" + TEXT,
    "no solid at all but the first": TEXT.replace(b"endsolid", b"endsolid\nsolid empty\nendsolid"),
}


@pytest.mark.parametrize("data", WRITTEN.values(), ids=WRITTEN.keys())
def test_the_same_triangles_however_it_is_written(data):
    mesh = read(data)
    np.testing.assert_allclose(corners(mesh), BOX.triangles.reshape(-1, 3), atol=1e-6)
    assert len(mesh.positions) == 8
    assert mesh.notes == ()


def test_wide_text_is_read_and_said():
    mesh = read(("\ufeff" + TEXT.decode()).encode("utf-16-le"))
    assert len(mesh.polygon_sizes) == 12
    assert mesh.notes[0].startswith("The file is UTF-16 text")


def test_bytes_after_the_end_are_said():
    mesh = read(BINARY + b"made by a scanner")
    np.testing.assert_array_equal(corners(mesh), corners(read(BINARY)))
    assert mesh.notes == ("Left out 17 bytes after the last triangle.",)


MANY = TEXT.replace(b"solid \n", b"solid\n")
FACET = b"facet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\nendfacet\n"
ODD = {
    "two corners": (FACET.replace(b"vertex 1 0 0\n", b""), 12, "Left out 1 facet with fewer than 3 corners."),
    "no corners": (b"facet normal 0 0 1\nouter loop\nendloop\nendfacet\n", 12, None),
    "four corners": (FACET.replace(b"endloop", b"vertex -1 1 0\nendloop"), 13, None),
    "a word": (FACET.replace(b"1 0 0", b"one 0 0"), 12, "Left out 1 facet that could not be read."),
    "too few numbers": (FACET.replace(b"1 0 0", b"1 0"), 12, "Left out 1 facet that could not be read."),
    "nan": (FACET.replace(b"1 0 0", b"nan 0 0"), 12, "Left out 1 facet that could not be read."),
    "too far": (FACET.replace(b"1 0 0", b"1e99 0 0"), 12, "Left out 1 facet with a vertex that is NaN or infinite."),
}


@pytest.mark.parametrize(("facet", "count", "note"), ODD.values(), ids=ODD.keys())
def test_an_odd_facet_costs_itself(facet, count, note):
    start = TEXT.index(b"facet")
    mesh = read(TEXT[:start] + facet + TEXT[start:])
    assert len(mesh.polygon_sizes) == count
    assert mesh.notes == (() if note is None else (note,))


def test_a_binary_facet_without_numbers_costs_itself_and_many_the_file():
    raw = bytearray(BINARY)
    raw[84 + 12 : 84 + 16] = np.float32(np.nan).tobytes()
    mesh = read(bytes(raw))
    assert len(mesh.polygon_sizes) == 11
    assert mesh.notes == ("Left out 1 facet with a vertex that is NaN or infinite.",)
    raw[134 + 12 : 134 + 16] = np.float32(np.inf).tobytes()
    with pytest.raises(MeshError, match=r"2 vertex position\(s\) are NaN or infinite"):
        read(bytes(raw))


def test_text_without_its_end_is_cut_off_or_said():
    whole = TEXT.replace(b"endsolid", b"").rstrip()
    assert read(whole).notes == (
        "The STL text ends without 'endsolid': if it was cut off, the rest of the mesh is missing.",
    )
    for cut in (whole[:-3], whole[: len(whole) // 2], b"solid\n", b"solid"):
        with pytest.raises(MeshError, match=r"without 'endsolid'|no faces"):
            read(cut)


def test_a_count_that_lies_is_refused():
    for count in (13, 2**31, 2**32 - 1):
        with pytest.raises(MeshError, match=f"says {count:,} triangles but has 12"):
            read(BINARY[:80] + count.to_bytes(4, "little") + BINARY[84:])
    with pytest.raises(MeshError, match="says 0 triangles but has 12"):
        read(BINARY[:80] + bytes(4) + BINARY[84:])


def test_too_many_triangles_are_refused_before_they_are_read(monkeypatch):
    monkeypatch.setattr("pgc.mesh.formats.stl.MAX_TRIANGLES", 10)
    for data in (BINARY, TEXT):
        with pytest.raises(MeshError, match="12 triangles, at most 10"):
            read(data)
