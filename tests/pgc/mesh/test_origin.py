# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from pgc.errors import MeshError
from pgc.export.glb import write_glb
from pgc.export.obj import write_obj
from pgc.mesh import UvSet, load_mesh, prepare_mesh, triangulate, unwrap
from pgc.mesh.origin import local_origin
from tests.pgc import needs
from tests.pgc.mesh.test_preparation import quad

UTM = np.array([500_000.25, 5_400_000.5, 312.0])


def wall(place=(0.0, 0.0, 0.0), unit=1.0):
    """A wall of 8 x 4 quads, 20 m x 8 m."""
    x, z = np.meshgrid(np.linspace(0.0, 20.0, 9), np.linspace(0.0, 8.0, 5))
    points = np.stack([x, 0.1 * np.sin(x), z], axis=-1).reshape(-1, 3) * unit + np.asarray(place)
    start = (np.arange(4)[:, None] * 9 + np.arange(8)).reshape(-1)
    quads = np.stack([start, start + 1, start + 10, start + 9], axis=1).astype(np.int32).reshape(-1)
    uvs = np.stack([x / 20.0, z / 8.0], axis=-1).reshape(-1, 2).astype(np.float32)
    return quad(
        positions=points,
        polygon_sizes=np.full(32, 4, np.int32),
        corner_positions=quads,
        uvs=uvs,
        corner_uvs=quads[::-1].copy()[::-1],
        material_index=np.zeros(32, np.int32),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "unit"),
    [(UTM, 1.0), (-UTM, 1.0), ((0, 0, 1e12), 1.0), ((0, 0, 0), 1e-6), ((0, 0, 0), 1e9), (1e-6 * UTM, 1e-6),
     (1e9 * UTM, 1e9), ((0, 0, 0), 1e-25), ((0, 0, 0), 1e25)],
)  # fmt: skip
def test_place_and_unit_make_no_difference(place, unit):
    near, far = prepare_mesh(wall()), prepare_mesh(wall(place, unit))
    assert far.report.degenerate_triangles == 0
    # Of 1e12 m, float64 itself keeps a tenth of a millimetre.
    np.testing.assert_allclose(far.triangles.positions, near.triangles.positions, atol=2e-5)
    np.testing.assert_array_equal(far.triangles.faces, near.triangles.faces)
    back = far.normalization.from_normalized(far.triangles.positions)
    np.testing.assert_allclose(back, far.mesh.positions, atol=2e-6 * 20 * unit, rtol=1e-13)


def test_a_mesh_near_zero_has_its_origin_there_and_keeps_its_float32_bits():
    for place in ((0, 0, 0), (100.0, -60.0, 3.0)):
        mesh = wall(place)
        assert not mesh.origin.any()
        assert triangulate(mesh).positions.tobytes() == mesh.positions.astype(np.float32).tobytes()


def test_counting_from_the_origin_is_exact_for_float32_numbers_and_done_once():
    positions = wall(np.round(UTM), 1.0).positions.astype(np.float32).astype(np.float64)
    mesh = wall()
    origin = local_origin(positions, mesh.corner_positions)
    assert np.abs(origin - UTM).max() < 24.0
    local = positions - origin
    np.testing.assert_array_equal(local.astype(np.float32).astype(np.float64) + origin, positions)
    assert not local_origin(local, mesh.corner_positions).any()


def test_loose_vertices_do_not_move_the_origin():
    mesh = wall(UTM)
    loose = np.vstack([mesh.positions, np.zeros((1, 3))])
    np.testing.assert_array_equal(local_origin(loose, mesh.corner_positions), mesh.origin)


def test_a_size_that_float32_cannot_square_is_refused():
    with pytest.raises(MeshError, match=r"2e\+31 units away"):
        wall(unit=1e30)


def test_obj_text_and_glb_node_bring_a_far_mesh_back(tmp_path):
    mesh = wall(UTM)
    prepared = prepare_mesh(mesh)
    write_obj(tmp_path / "wall.obj", prepared, {})
    again = load_mesh(tmp_path / "wall.obj")
    turned = np.stack([mesh.positions[:, 0], mesh.positions[:, 2], -mesh.positions[:, 1]], axis=1)
    assert again.positions.tobytes() == turned.tobytes()
    write_glb(tmp_path / "wall.glb", prepared, {})
    corners = load_mesh(tmp_path / "wall.glb")
    np.testing.assert_allclose(
        corners.positions[corners.corner_positions],
        turned[mesh.corner_positions][prepared.triangles.corner_index.reshape(-1)],
        atol=2e-6,
    )


@pytest.mark.slow
@needs.XATLAS
@pytest.mark.parametrize("unit", [1e-9, 1e-6, 1e9])
def test_unwrapping_does_not_depend_on_the_unit(unit):
    plain, other = (unwrap(wall(UTM * scale, scale)) for scale in (1.0, unit))
    assert np.ptp(plain.uvs, axis=0).max() > 0.5
    # Packing may turn the same chart.
    for axis in (0, 1):
        difference = np.abs(np.sort(other.uvs[:, axis]) - np.sort(plain.uvs[:, axis])).max()
        turned = np.abs(np.sort(other.uvs[:, axis]) - np.sort(plain.uvs[:, 1 - axis])).max()
        assert min(difference, turned) < 2e-3


@pytest.mark.slow
def test_notes_come_first_among_the_warnings():
    report = prepare_mesh(quad(notes=("2 things were left out.",), uvs=quad().uvs * np.float32(1.4))).report
    assert report.warnings[0] == "2 things were left out."
    assert len(report.warnings) == 2


OTHER = {"name": "light", "uvs": np.zeros((1, 2), np.float32), "corner_uvs": np.zeros(4, np.int32), "index": 1}
EXTRA = {
    "set too short": ({"other_uv_sets": (UvSet(**OTHER | {"corner_uvs": np.zeros(3, np.int32)}),)}, "3 UV indices"),
    "set index": ({"other_uv_sets": (UvSet(**OTHER | {"corner_uvs": np.full(4, 1, np.int32)}),)}, "UV number 1"),
    "set nan": ({"other_uv_sets": (UvSet(**OTHER | {"uvs": np.full((1, 2), np.nan, np.float32)}),)}, "UV.*NaN"),
    "colours alone": ({"colors": np.zeros((1, 4), np.float32)}, "both a pool and corner indices"),
    "colour index": (
        {"colors": np.zeros((1, 4), np.float32), "corner_colors": np.full(4, 1, np.int32)},
        "vertex colour number 1",
    ),
    "colours short": (
        {"colors": np.zeros((1, 4), np.float32), "corner_colors": np.zeros(3, np.int32)},
        "3 colour indices",
    ),
}


@pytest.mark.parametrize(("changes", "message"), EXTRA.values(), ids=EXTRA.keys())
def test_bad_extra_data_is_refused_in_one_sentence(changes, message):
    with pytest.raises(MeshError, match=message):
        quad(**changes)
    good = quad(
        other_uv_sets=(UvSet(**OTHER),), colors=np.ones((1, 4), np.float32), corner_colors=np.full(4, -1, np.int32)
    )
    assert prepare_mesh(good).mesh.other_uv_sets[0].name == "light"
