# SPDX-License-Identifier: Apache-2.0
"""OBJ files as others write them: one odd element costs itself, and is said."""

from pathlib import Path

import numpy as np
import pytest

from pgc.errors import MeshError
from pgc.mesh.formats.obj import read_obj
from pgc.mesh.triangulation import triangulate

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nvn 0 0 1\n"
FACE = "f 1/1/1 2/2/1 3/3/1 4/4/1\n"


def read(text):
    return read_obj(Path("m.obj"), text if isinstance(text, bytes) else text.encode())


def same(mesh, other):
    for name in ("positions", "polygon_sizes", "corner_positions", "uvs", "corner_uvs", "normals", "corner_normals"):
        np.testing.assert_array_equal(getattr(mesh, name), getattr(other, name), err_msg=name)


WRITTEN = {
    "utf-8 mark": "\ufeff".encode() + (SQUARE + FACE).encode(),
    "utf-8 mark before a face": "\ufeff".encode() + FACE.encode().replace(b"f ", b"# ") + (SQUARE + FACE).encode(),
    "upper case": (SQUARE + FACE).upper().encode(),
    "mixed case": (SQUARE + FACE).replace("vt", "Vt").replace("f ", "F ").encode(),
    "windows": (SQUARE + FACE).replace("\n", "\r\n").encode(),
    "old mac": (SQUARE + FACE).replace("\n", "\r").encode(),
    "mixed line ends": (SQUARE.replace("\n", "\r\n") + FACE).encode(),
    "many blanks": (SQUARE + FACE).replace(" ", " \t  ").encode(),
    "indented": "".join(f"\t {line}\n" for line in (SQUARE + FACE).splitlines()).encode(),
    "no line end": (SQUARE + FACE).rstrip().encode(),
    "comment with a backslash": b"# C:\\models\\\n" + (SQUARE + FACE).encode(),
    "library with a backslash": b"mtllib C:\\models\\\\\n" + (SQUARE + FACE).encode(),
    "group with a backslash": b"g wall\\\n" + (SQUARE + FACE).encode(),
    "continued": (SQUARE + FACE).replace("3/3/1", "\\\n 3/3/1").encode(),
    "continued windows": (SQUARE + FACE).replace("3/3/1", "\\\r\n 3/3/1").encode(),
    "comments behind": (SQUARE + FACE).replace("\n", " # v 9 9 9\n").encode(),
    "unknown lines": b"#MRGB ffff\ncstype bezier\nvp 0.1\nshadow_obj x\n" + (SQUARE + FACE).encode(),
}


@pytest.mark.parametrize("data", WRITTEN.values(), ids=WRITTEN.keys())
def test_the_same_mesh_however_it_is_written(data):
    mesh = read(data)
    same(mesh, read(SQUARE + FACE))
    assert mesh.notes == ()


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_is_read_and_said(encoding):
    mesh = read(("\ufeff" + SQUARE + FACE).encode(encoding))
    same(mesh, read(SQUARE + FACE))
    assert mesh.notes == (f"The file is {encoding[:6].upper()} text, which few programs read; it was read as such.",)
    with pytest.raises(MeshError, match="begins as UTF-16 and goes on as something else"):
        read(b"\xff\xfe" + b"\x00\xd8" + (SQUARE + FACE).encode("utf-16-le"))
    with pytest.raises(MeshError, match="not an OBJ"):
        read((SQUARE + FACE).encode("utf-16-le"))


MANY = "".join(f"f {i % 4 + 1} {(i + 1) % 4 + 1} {(i + 2) % 4 + 1}\n" for i in range(20))
ODD_FACES = {
    "of one corner": ("f 1\n", "Left out 1 face with fewer than 3 corners."),
    "of no corner": ("f\nf \n", "Left out 2 faces with fewer than 3 corners."),
    "of two corners": ("f 1/1 2/2\n" * 30, "Left out 30 faces with fewer than 3 corners."),
    "of words": ("f 1 2 three\n", "Left out 1 face that could not be read."),
    "of fractions": ("f 1 2 3.5\n", "Left out 1 face that could not be read."),
    "too many parts": ("f 1/1/1/1 2 3\n", "Left out 1 face that could not be read."),
    "beyond": ("f 1 2 9\nf 1 2 3 4 -9\n", "Left out 2 faces pointing to vertices that are not there."),
    "zero": ("f 0 1 2\n", "Left out 1 face pointing to vertices that are not there."),
    "nan": ("v nan 0 0\nf 1 2 5\n", "Left out 1 face with a vertex whose position is no number."),
    "huge": ("v 1e40 0 0\nf 1 2 5\n", "Left out 1 face with a vertex whose position is no number."),
    "two numbers": ("v 3 3\nf 1 2 5\n", "Left out 1 face with a vertex whose position is no number."),
    "nine numbers": (f"v{' 5' * 9}\nf 1 2 5\n", "Left out 1 face with a vertex whose position is no number."),
    "decimal comma": ("v 3,5 3,5 1,0\nf 1 2 5\n", "Left out 1 face with a vertex whose position is no number."),
    "line": ("l 1 2\np 1 2 3\ncurv 0 1 1 2\n", "Left out 3 elements without surface (lines, points, curves)."),
}


@pytest.mark.parametrize(("odd", "note"), ODD_FACES.values(), ids=ODD_FACES.keys())
def test_an_odd_face_costs_itself(odd, note):
    mesh, plain = read(SQUARE + odd + MANY), read(SQUARE + MANY)
    assert mesh.notes == (note,)
    assert mesh.polygon_sizes.tolist() == plain.polygon_sizes.tolist()
    assert mesh.corner_positions.tolist() == plain.corner_positions.tolist()
    np.testing.assert_array_equal(mesh.positions[:4], plain.positions)


def test_a_vertex_that_cannot_be_read_keeps_its_number():
    one_on = "".join(f"f {i % 4 + 2} {(i + 1) % 4 + 2} {(i + 2) % 4 + 2}\n" for i in range(20))
    mesh = read("v nan nan nan\n" + SQUARE + one_on + "f 1 2 3\n")
    assert mesh.notes == ("Left out 1 face with a vertex whose position is no number.",)
    plain = read(SQUARE + MANY)
    assert mesh.positions[mesh.corner_positions].tolist() == plain.positions[plain.corner_positions].tolist()
    with pytest.raises(MeshError, match=r"line 1 .*NaN or infinity"):
        read("v nan nan nan\n" + SQUARE + "f 2 3 4\nf 1 2 3\n")


def test_more_than_a_tenth_of_broken_faces_is_a_damaged_file():
    with pytest.raises(MeshError, match=r"line 30 \('f 1 2 three'\) cannot be read"):
        read(SQUARE + MANY + "f 1 2 three\n" * 3)
    with pytest.raises(MeshError, match=r"line 30 points to a vertex that is not there .9, of 4"):
        read(SQUARE + MANY + "f 1 2 9\n" * 3)


NONE = {
    "vt zero": (
        "f 1/0/1 2/0/1 3/0/1",
        "Read as none: the UV of 3 face corners, given as 0 or as one that is not there.",
    ),
    "one vt zero": (
        "f 1/1 2/2 3/0",
        "Read as none: the UV of 1 face corner, given as 0 or as one that is not there.",
    ),
    "vt beyond": ("f 1/9 2/9 3/9", "Read as none: the UV of 3 face corners, given as 0 or as one that is not there."),
    "vn zero": (
        "f 1//0 2//1 3//1",
        "Read as none: the normal of 1 face corner, given as 0 or as one that is not there.",
    ),
    "vn back": (
        "f 1//-2 2//1 3//1",
        "Read as none: the normal of 1 face corner, given as 0 or as one that is not there.",
    ),
    "vt nan": ("vt nan 0\nf 1/5 2/1 3/1", "Left out the UV of 1 face corner: it is no number."),
    "vt word": ("vt none\nf 1/5 2/1 3/1", "Left out the UV of 1 face corner: it is no number."),
    "vn nan": ("vn 0 inf 0\nf 1//2 2//1 3//1", "Left out the normal of 1 face corner: it is no number."),
}


@pytest.mark.parametrize(("face", "note"), NONE.values(), ids=NONE.keys())
def test_what_names_no_uv_or_normal_has_none(face, note):
    mesh = read(SQUARE + face + "\n")
    assert mesh.notes == (note,)
    assert mesh.corner_positions.tolist() == [0, 1, 2]
    for pool, corners in ((mesh.uvs, mesh.corner_uvs), (mesh.normals, mesh.corner_normals)):
        assert (pool is None) == (corners is None)
        assert pool is None or np.isfinite(pool).all()


def test_materials_have_blanks_and_any_case_and_groups_change_nothing():
    mesh = read(
        SQUARE + "usemtl Hard Shiny, 50% #2 \ng roof\nf 1 2 3\nUSEMTL  b\ns 1\ng\no\tx y\nf 2 3 4\nusemtl\nf 1 3 4\n"
    )
    assert mesh.material_names == ("Hard Shiny, 50% #2", "b", "")
    assert mesh.material_index.tolist() == [0, 1, 2]


def test_colours_behind_positions_are_kept_as_linear_ones():
    mesh = read("v 0 0 0 1 0.5 0\nv 1 0 0 0 0 1 0.25\nv 0 1 0\nv 9 9 9 1\nf 1 2 3\n")
    assert mesh.positions.tolist()[3] == [9, 9, 9]
    assert mesh.corner_colors.tolist() == [0, 1, -1]
    np.testing.assert_allclose(mesh.colors[:2], [[1, 0.21404, 0, 1], [0, 0, 1, 0.25]], atol=1e-4)
    bytes_of = read("v 0 0 0 255 128 0\nv 1 0 0 0 0 255\nv 0 1 0 0 0 0\nf 1 2 3\n")
    np.testing.assert_allclose(bytes_of.colors[0], [1, 0.2158, 0, 1], atol=1e-3)
    assert read(SQUARE + FACE).colors is None


def test_far_positions_keep_their_millimetres():
    text = "".join(f"v {500000 + x}.125 {5400000 + y}.001 0.0005\n" for x, y in ((0, 0), (1, 0), (1, 1), (0, 1)))
    mesh = read(text + "f 1 2 3 4\n")
    assert mesh.positions[0].tolist() == [500000.125, 5400000.001, 0.0005]
    np.testing.assert_allclose(np.ptp(triangulate(mesh).positions, axis=0), [1, 1, 0], atol=1e-7)


def test_a_number_of_a_million_digits_is_read_in_no_time():
    digits = "1" * 1_000_000
    assert read(f"v 0.{digits} 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n").positions[0, 0] == pytest.approx(1 / 9)
    with pytest.raises(MeshError, match="line 1"):
        read(f"v {digits}x 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")


def test_what_is_too_big_is_refused_before_it_is_taken_apart(monkeypatch):
    monkeypatch.setattr("pgc.mesh.formats.obj_text.MAX_TRIANGLES", 10)
    with pytest.raises(MeshError, match="the mesh has 20 faces, at most 10 triangles"):
        read(SQUARE + MANY)
    monkeypatch.setattr("pgc.mesh.formats.obj_text._MOST_VERTICES", 2)
    with pytest.raises(MeshError, match="3 vertices, expected at most 2"):
        read(SQUARE + FACE)


def test_corners_are_counted_before_they_are_taken_apart(monkeypatch):
    monkeypatch.setattr("pgc.mesh.formats.obj.MAX_TRIANGLES", 10)
    with pytest.raises(MeshError, match="60 corners together, but at most 10 triangles"):
        read(SQUARE + MANY)
    with pytest.raises(MeshError, match="40 corners together"):
        read(SQUARE + "f" + " 1  2" * 20 + "\n")
    assert len(read(SQUARE + "f  1\t   2   3  " + " " * 200 + "\n").polygon_sizes) == 1
    monkeypatch.setattr("pgc.mesh.formats.obj_text._MOST_LINES", 12)
    with pytest.raises(MeshError, match="29 lines, expected at most 12"):
        read(SQUARE + MANY)
