# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from pgc.errors import MeshError
from pgc.mesh import Mesh, prepare_mesh, triangulate
from pgc.mesh.uvs.policy import choose_uvs, measure_mesh
from tests.blender_addon.uv_measure.layouts import Surface, crossed, full, mirrored_bar, parked, screws, sixth, strip
from tests.pgc import needs

pytestmark = pytest.mark.usefixtures("coarse_uv_measure")
FULL = full()


def mesh_of(surface, **changes):
    """Quads of a surface as a mesh whose positions are shared and whose UVs are not."""
    positions, corners = np.unique(np.concatenate(surface.quads), axis=0, return_inverse=True)
    count = len(surface.quads)
    corner_uvs = np.arange(4 * count, dtype=np.int32)
    corner_uvs[np.repeat(surface.without, 4)] = -1
    fields = {
        "name": "test",
        "positions": positions,
        "polygon_sizes": np.full(count, 4, np.int32),
        "corner_positions": corners.reshape(-1).astype(np.int32),
        "uvs": np.concatenate(surface.uvs).astype(np.float32),
        "corner_uvs": corner_uvs,
        "normals": None,
        "corner_normals": None,
        "material_index": np.zeros(count, np.int32),
        "material_names": ("",),
        "up_axis": "z",
        "uv_name": "Artist",
    }
    return Mesh(**{**fields, **changes})


def without(surface, *numbers):
    surface.without = [number in numbers for number in range(len(surface.quads))]
    return surface


def chosen(mesh, policy="auto"):
    return choose_uvs(mesh, triangulate(mesh), policy)


@pytest.mark.slow
@pytest.mark.parametrize("surface", [Surface().box(), mirrored_bar(), screws()], ids=["clean", "mirrored", "stacked"])
def test_uvs_that_carry_a_texture_stay(surface):
    mesh = mesh_of(surface)
    got = chosen(mesh)
    assert got.mesh is mesh
    assert got.report.done == "kept"
    assert len(got.warnings) == (got.report.verdict == "stacked")


@pytest.mark.slow
@needs.XATLAS
def test_copies_of_two_materials_get_texels_of_their_own():
    surface = screws(2)
    materials = np.repeat([0, 1], 6).astype(np.int32)
    mesh = mesh_of(surface, material_index=materials, material_names=("brass", "steel"))
    got = chosen(mesh)
    assert (got.report.verdict, got.report.done) == ("overlapping", "new")
    assert got.report.measure.shared < 0.005
    (warning,) = got.warnings
    assert warning.startswith("UVs of different parts overlap on 100% of the surface: a new UV map, PGC, is textured")


@pytest.mark.slow
@needs.XATLAS
@pytest.mark.parametrize(
    "surface",
    [Surface().box(uv=full), crossed(), strip(3, uv=lambda c: FULL * (3, 1)), Surface().box(uv=lambda n: FULL * 0)],
    ids=["tiling", "crossed", "wide", "one point"],
)
def test_uvs_that_cannot_are_left_in_the_file_beside_new_ones(surface):
    mesh = mesh_of(surface)
    got = chosen(mesh)
    assert got.report.done == "new"
    (own,) = got.mesh.other_uv_sets
    assert (own.name, own.index, got.mesh.uv_name, got.mesh.uv_index) == ("Artist", 0, "PGC", 1)
    assert own.uvs is mesh.uvs
    assert own.corner_uvs is mesh.corner_uvs
    np.testing.assert_array_equal(got.mesh.positions, mesh.positions)
    assert got.report.measure.shared < 0.005
    assert len(got.warnings) == 1
    assert "--keep-uvs" in got.warnings[0]
    kept = chosen(mesh, "keep")
    assert kept.mesh is mesh
    assert kept.warnings


@pytest.mark.slow
@pytest.mark.parametrize(
    ("surface", "tiles", "done"),
    [
        (parked(), (1001,), "kept"),
        (parked((0, 1)), (1001,), "kept"),
        (parked(mirrored=False), (1001, 1002), "kept"),
        (parked(extra=True), (1001, 1002), "kept"),
    ],
    ids=["to the right", "above", "copies that are not mirrored", "a chart of its own"],
)
def test_mirrored_copies_in_another_square_take_their_texels_from_the_first(surface, tiles, done):
    mesh = mesh_of(surface)
    prepared = prepare_mesh(mesh, uvs="auto")
    assert (prepared.report.tiles, prepared.report.uvs.done) == (tiles, done)
    assert prepared.mesh is mesh
    if tiles == (1001,):
        assert prepared.triangles.corner_uvs.max() <= 1.0
        assert prepared.report.needs_repeat is False
        assert "mirrored or stacked share texels on 100% of the surface" in prepared.report.warnings[0]


@pytest.mark.slow
@needs.XATLAS
def test_faces_without_uvs_get_room_beside_parked_copies():
    surface = parked().quad(FULL @ np.eye(2, 3) + 9.0, FULL * 0, without=True)
    mesh = mesh_of(surface)
    prepared = prepare_mesh(mesh, uvs="auto")
    assert (prepared.report.tiles, prepared.report.uvs.done) == ((1001,), "filled")
    measure = prepared.report.uvs.measure
    assert measure.parked
    assert measure.area_tiled + measure.area_crossed < 0.005


@pytest.mark.slow
@needs.XATLAS
def test_the_map_of_a_mesh_without_any_has_the_name_of_new_ones():
    got = chosen(mesh_of(Surface().box(), uvs=None, corner_uvs=None, uv_name=""))
    assert (got.report.done, got.mesh.uv_name, got.mesh.other_uv_sets) == ("new", "PGC", ())


@pytest.mark.slow
@needs.XATLAS
def test_a_third_set_gets_the_next_number():
    mesh = mesh_of(crossed())
    two = chosen(mesh).mesh
    three = chosen(two, "new").mesh
    assert [(item.index, item.name) for item in three.other_uv_sets] == [(0, "Artist"), (1, "PGC")]
    assert three.uv_index == 2


@pytest.mark.slow
@needs.XATLAS
def test_faces_without_uvs_get_some_in_free_room_and_the_others_keep_theirs():
    mesh = mesh_of(without(Surface().box(), 2, 5))
    got = chosen(mesh)
    assert got.report.done == "filled"
    assert got.mesh.other_uv_sets == ()
    assert got.mesh.uv_name == "Artist"
    kept = mesh.corner_uvs >= 0
    np.testing.assert_array_equal(got.mesh.corner_uvs[kept], mesh.corner_uvs[kept])
    np.testing.assert_array_equal(got.mesh.uvs[: len(mesh.uvs)], mesh.uvs)
    measure, faces = measure_mesh(got.mesh)
    assert (measure.faces_without, measure.shared, measure.tiles) == (0, 0.0, 1)
    assert faces.density[4:6].mean() == pytest.approx(faces.density[:2].mean(), rel=0.5)
    assert "2 of 6" not in got.warnings[0], "it counts triangles"
    assert "4 of 12 triangles have no UVs: only those faces got new UVs, in the layout's free room." in got.warnings[0]


@pytest.mark.slow
@needs.XATLAS
def test_without_free_room_they_get_a_tile_of_their_own():
    surface = without(Surface().box(uv=lambda n: FULL * (0.249, 0.98) + (0.25 * (n % 4) + 0.0005, 0.01)), 4, 5)
    got = chosen(mesh_of(surface))
    measure, _ = measure_mesh(got.mesh)
    assert (measure.tiles, measure.shared, measure.faces_without) == (2, 0.0, 0)
    assert "UDIM tile, 1002" in got.warnings[0]
    assert prepare_mesh(mesh_of(surface), uvs="auto").report.tiles == (1001, 1002)


@pytest.mark.slow
@needs.XATLAS
def test_a_layout_around_the_edge_of_the_texture_has_no_tiles_so_all_is_new():
    surface = without(Surface().box(uv=lambda n: FULL * (0.249, 0.98) + (0.25 * (n % 4) + 0.1, 0.4)), 4, 5)
    got = chosen(mesh_of(surface))
    assert got.report.done == "new"
    assert got.mesh.other_uv_sets[0].corner_uvs.min() == -1


@pytest.mark.slow
@needs.XATLAS
def test_collapsed_faces_get_uvs_in_a_second_set():
    mesh = mesh_of(Surface().box(uv=lambda n: sixth(n) * (n > 0)))
    got = chosen(mesh)
    assert got.report.done == "filled"
    assert got.mesh.other_uv_sets[0].corner_uvs is mesh.corner_uvs
    measure, faces = measure_mesh(got.mesh)
    assert (measure.area_collapsed, measure.shared) == (0.0, 0.0)
    assert not faces.collapsed.any()
    np.testing.assert_array_equal(got.mesh.corner_uvs[4:], mesh.corner_uvs[4:])


@pytest.mark.slow
@needs.XATLAS
def test_keep_fills_missing_uvs_and_nothing_else():
    surface = without(Surface().box(uv=lambda n: FULL * 0.6 if n < 2 else sixth(n) * 0.9), 5)
    mesh = mesh_of(surface)
    got = chosen(mesh, "keep")
    assert got.report.done == "filled"
    np.testing.assert_array_equal(got.mesh.corner_uvs[:20], mesh.corner_uvs[:20])
    assert chosen(mesh, "auto").report.done == "new"


@pytest.mark.slow
def test_what_cannot_be_unwrapped_here_is_said(monkeypatch):
    monkeypatch.setattr("pgc.mesh.uvs.policy.MAX_TRIANGLES_TO_UNWRAP", 3)
    tiling = mesh_of(Surface().box(uv=full))
    got = chosen(tiling)
    assert got.mesh is tiling
    assert "12 triangles it takes many minutes: use --unwrap" in got.warnings[0]
    with pytest.raises(MeshError, match=r"2 of 12 triangles have no UVs, and for 12 triangles"):
        chosen(mesh_of(without(Surface().box(), 0)))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "xatlas" in chosen(tiling).warnings[0]


@pytest.mark.slow
@needs.XATLAS
def test_the_report_tells_what_was_given_and_what_is_used():
    report = prepare_mesh(mesh_of(crossed()), uvs="auto").report
    assert (report.uvs.verdict, report.uvs.done, report.unwrapped) == ("overlapping", "new", True)
    assert report.uvs.given.area_crossed > 0.05 > report.uvs.measure.area_crossed
    assert report.overlap_fraction == report.uvs.measure.shared
