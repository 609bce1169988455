# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from blender_addon.uv_measure import UvMeasure, judge_uvs, measure_uvs
from tests.blender_addon.uv_measure.layouts import (
    Surface,
    crossed,
    cylinder,
    full,
    mirrored_bar,
    parked,
    projected,
    screws,
    sixth,
    strip,
)

FULL = full()

CASES = {
    # surface, verdict, remedy
    "a box, unwrapped": (Surface().box(), "good", "keep"),
    "a box, each face the whole picture": (Surface().box(uv=full), "tiling", "new"),
    "a wall four times as wide as the picture": (strip(1, 4.0, lambda _: FULL * (4, 1)), "tiling", "new"),
    "a wall of panels, each the whole picture": (strip(6), "tiling", "new"),
    "panels mirrored in turn": (strip(4, uv=lambda c: FULL if c % 2 == 0 else FULL[[1, 0, 3, 2]]), "stacked", "keep"),
    "halves that share their UVs": (mirrored_bar(), "stacked", "keep"),
    "screws on one place": (screws(), "stacked", "keep"),
    "plates across each other": (crossed(), "overlapping", "new"),
    "a copy of double size on the same place": (
        Surface().quad(FULL @ np.eye(2, 3), FULL).quad(2 * FULL @ np.eye(2, 3) + 5.0, FULL), "overlapping", "new",
    ),
    "charts in other squares, on the same texels": (
        Surface().quad(FULL @ np.eye(2, 3), FULL * 0.8 - 3).quad(FULL * (2, 1) @ np.eye(2, 3) + 5.0, FULL * 0.8 + 4),
        "tiling", "new",
    ),
    "charts in other squares, on other texels": (
        Surface().quad(FULL @ np.eye(2, 3), FULL * 0.4 - 3).quad(FULL @ np.eye(2, 3) + 5.0, FULL * 0.4 + 4.5),
        "good", "keep",
    ),
    "two UDIM tiles": (strip(2, uv=lambda c: FULL * 0.9 + np.array((c, 0))), "good", "keep"),
    "a tube around the edge of the picture": (cylinder(), "good", "keep"),
    "a tube with two pictures around it": (cylinder(turns=2.0), "tiling", "new"),
    "all UVs in one point": (Surface().box(uv=lambda n: FULL * 0), "collapsed", "new"),
    "each face a point of a palette": (Surface().box(uv=lambda n: FULL * 0 + (n / 6, 0.5)), "collapsed", "new"),
    "all UVs in a corner of the picture": (Surface().box(uv=lambda n: sixth(n) * 0.02), "collapsed", "new"),
    "seen from above, the sides a line": (projected(), "collapsed", "new"),
    "one face of six a point": (Surface().box(uv=lambda n: sixth(n) * (n > 0)), "collapsed", "fill"),
    "UVs of a billion": (Surface().box(uv=lambda n: FULL * 1e9), "tiling", "new"),
}  # fmt: skip


@pytest.mark.parametrize(("surface", "verdict", "remedy"), CASES.values(), ids=CASES.keys())
def test_the_verdict_on_layouts_as_people_make_them(surface, verdict, remedy):
    measure, _ = measure_uvs(*surface.arrays(), grid=256)
    judgement = judge_uvs(measure)
    assert (judgement.verdict.value, judgement.remedy.value) == (verdict, remedy), measure
    assert len(judgement.few_words.split()) <= 6
    assert bool(judgement.few_words) == (verdict not in ("good", "stacked"))


def both_halves_parked():
    """A model and its mirror image that hang together along the middle, the right half's UVs a unit further."""
    surface = mirrored_bar()
    surface.uvs[1] = surface.uvs[1] + (1, 0)
    return surface


def three_copies():
    """Two mirrored copies in squares of their own, and one that is not."""
    surface = parked()
    for index, offset in ((1, (3, 0)), (3, (3, 0))):
        surface.quad(surface.quads[index] + (0, 20, 0), surface.uvs[index] + offset)
    return surface.quad(surface.quads[0] + (0, 30, 0), surface.uvs[0] + (0, 1))


@pytest.mark.parametrize(
    ("surface", "is_parked", "verdict"),
    [
        (parked(), True, "stacked"),
        (parked((0, 1)), True, "stacked"),
        (parked((2, 3)), True, "stacked"),
        (both_halves_parked(), True, "stacked"),
        (three_copies(), True, "stacked"),
        (parked((1.0, 0.1)), False, "good"),
        (parked(mirrored=False), False, "good"),
        (parked(extra=True), False, "good"),
        (strip(2, uv=lambda c: FULL * 0.9 + np.array((c, 0))), False, "good"),
        (Surface().box().box((3, 0, 0), (1, 2, 1), uv=lambda n: sixth(n) + np.array((1, 0))), False, "good"),
        (parked((0, 0)), False, "stacked"),
        (parked((-1, 0)), False, "stacked"),
    ],
    ids=["one to the right", "one above", "far", "halves that touch", "three copies", "not on the same place",
         "copies that are not mirrored", "a chart of its own", "equal panels side by side", "another shape",
         "in one square", "to the left"],
)  # fmt: skip
def test_mirrored_copies_that_are_parked_in_another_square_are_no_udim_tiles(surface, is_parked, verdict):
    measure, faces = measure_uvs(*surface.arrays(), grid=256)
    judgement = judge_uvs(measure)
    assert (measure.parked, judgement.verdict.value, judgement.remedy.value) == (is_parked, verdict, "keep")
    assert measure.tiles == 1 or not is_parked
    if is_parked:
        assert measure.area_stacked == pytest.approx(1.0, abs=0.02)
        assert faces.stacked.all()


def cards():
    """Five cards of one shape on the same texels, a front and a back each."""
    surface = Surface()
    for number in range(5):
        front = FULL * (0.7, 1.0) @ np.eye(2, 3) + (number, 0, 0.1 * number)
        surface.quad(front, FULL * (0.4, 0.9)).quad((front - (0, 0, 0.01))[::-1], FULL * (0.4, 0.9) + (0.5, 0))
    return surface


TWO_MATERIALS = {
    # surface, a material for each quad, verdict, remedy
    "cards, a picture each": (cards(), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4], "overlapping", "new"),
    "cards, fronts of their own and one back": (cards(), [1, 0, 2, 0, 3, 0, 4, 0, 5, 0], "overlapping", "new"),
    "cards of one material, whatever its number": (cards(), [7] * 10, "stacked", "keep"),
    "screws of brass and of steel": (screws(4), [0] * 12 + [1] * 12, "overlapping", "new"),
    "each screw with a slot of another material": (screws(4), [0, 0, 0, 0, 0, 1] * 4, "stacked", "keep"),
    "one screw of thirty is another": (screws(30), [0] * 174 + [1] * 6, "overlapping", "new"),
    "halves, left and right": (mirrored_bar(), [0, 1], "overlapping", "new"),
    "a picture for each, in squares of their own": (parked(), [0, 1] * 2, "good", "keep"),
    "a box, unwrapped, six materials": (Surface().box(), range(6), "good", "keep"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("surface", "materials", "verdict", "remedy"), TWO_MATERIALS.values(), ids=TWO_MATERIALS.keys()
)
def test_copies_of_different_materials_have_a_picture_each(surface, materials, verdict, remedy):
    measure, faces = measure_uvs(*surface.arrays(), material=np.repeat(list(materials), 2), grid=256)
    judgement = judge_uvs(measure)
    assert (judgement.verdict.value, judgement.remedy.value) == (verdict, remedy), measure
    if verdict == "overlapping":
        assert faces.crossed.any()
        assert judge_uvs(measure_uvs(*surface.arrays(), grid=256)[0]).verdict.value == "stacked", "as before"


@pytest.mark.parametrize(
    ("missing", "verdict", "remedy"), [(1, "partial", "fill"), (5, "partial", "new"), (6, "none", "new")]
)
def test_faces_without_uvs(missing, verdict, remedy):
    surface = Surface().box()
    surface.without = [number < missing for number in range(6)]
    measure, faces = measure_uvs(*surface.arrays(), grid=256)
    assert measure.faces_without == faces.without.sum() == 2 * missing
    assert measure.area_without == pytest.approx(missing / 6)
    judgement = judge_uvs(measure)
    assert (judgement.verdict.value, judgement.remedy.value) == (verdict, remedy)


def test_a_slight_overlap_costs_nobody_his_uvs():
    surface = strip(1, 10.0, lambda _: FULL * (0.96, 1)).quad(
        FULL * 0.3 @ np.eye(2, 3) + 9, FULL * (0.05, 0.5) + (0.94, 0)
    )
    judgement = judge_uvs(measure_uvs(*surface.arrays(), grid=256)[0])
    assert (judgement.verdict.value, judgement.remedy.value) == ("good", "keep")
    assert "overlap on" in judgement.sentence


def test_stacked_parts_are_named_beside_a_slight_overlap():
    measure = UvMeasure(faces=10, faces_without=0, area_stacked=0.97, area_tiled=0.02, used=0.5)
    judgement = judge_uvs(measure)
    assert (judgement.verdict.value, judgement.remedy.value) == ("stacked", "keep")
    assert "97% of the surface and other UVs overlap on 2.0%" in judgement.sentence


@pytest.mark.slow
def test_figures_of_a_known_layout():
    surface = strip(2, 1.0, lambda column: FULL * (0.5, 0.5) if column == 0 else FULL * (0.25, 0.25) + 0.6)
    measure, faces = measure_uvs(*surface.arrays(), grid=256)
    assert measure.density_median == pytest.approx(0.5, rel=1e-6) or measure.density_median == pytest.approx(0.25)
    assert measure.density_least == pytest.approx(0.25)
    np.testing.assert_allclose(faces.density, [0.5, 0.5, 0.25, 0.25])
    assert measure.used == pytest.approx(0.25 + 0.0625, abs=4e-3)
    assert (measure.uses_mean, measure.uses_most, measure.shared) == (1.0, 1, 0.0)
    many, _ = measure_uvs(*screws(7).arrays(), grid=256)
    assert (many.uses_mean, many.uses_most, many.shared) == (7.0, 7, 1.0)
    assert many.area_stacked == pytest.approx(1.0)


@pytest.mark.slow
@pytest.mark.parametrize(("surface", "verdict", "remedy"), CASES.values(), ids=CASES.keys())
def test_fewer_samples_are_believed_where_nothing_is_the_matter(surface, verdict, remedy, monkeypatch):
    """The slow reference is the fine grid: the same verdict, and what is not clear is measured on it.

    Where something is the matter that shows on any grid, and a sixteenth of the samples serve.
    """
    finest = 1024 if verdict == "good" else 256
    monkeypatch.setattr("blender_addon.uv_measure.measure._QUICK_GRID", finest // 2)
    monkeypatch.setattr("blender_addon.uv_measure.measure._FINE_GRID", finest)
    quick, _ = measure_uvs(*surface.arrays())
    fine, _ = measure_uvs(*surface.arrays(), grid=finest)
    assert judge_uvs(quick).verdict is judge_uvs(fine).verdict
    if verdict == "good":
        assert quick.grid == 512
        assert quick.used == pytest.approx(fine.used, abs=0.005)
    else:
        assert quick == fine


@pytest.mark.slow
def test_units_and_place_do_not_matter():
    positions, faces, uvs, without = crossed().arrays()
    here, _ = measure_uvs(positions, faces, uvs, without)
    far, _ = measure_uvs(positions * 1e-4 + 5000.0, faces, uvs, without)
    assert far.area_crossed == pytest.approx(here.area_crossed, abs=0.01)
    assert far.density_median == pytest.approx(here.density_median * 1e4, rel=1e-3)


@pytest.mark.slow
def test_shares_agree_with_points_drawn_on_the_surface():
    rng = np.random.default_rng(3)
    surface = Surface()
    for _ in range(12):
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        size = rng.uniform(0.5, 2.0, 2)
        corners = (FULL * size @ np.eye(2, 3)) @ turn + 4 * rng.normal(size=3)
        surface.quad(corners, FULL * rng.uniform(0.1, 0.5, 2) + rng.uniform(-0.6, 0.9, 2))
    arrays = surface.arrays()
    measure, _ = measure_uvs(*arrays)
    assert measure.area_tiled + measure.area_crossed == pytest.approx(shared_share(*arrays[:3], rng), abs=0.02)
    assert measure.area_tiled > 0.05
    assert measure.area_crossed > 0.05


def shared_share(positions, faces, uvs, rng, count=4000):
    """The slow reference: of points drawn on the surface, those whose texel another triangle has too."""
    corners = positions[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    face = rng.choice(len(faces), count, p=area / area.sum())
    weights = rng.dirichlet((1, 1, 1), count)
    points = np.einsum("nk,nkd->nd", weights, uvs[face].astype(np.float64))
    hits = np.zeros(count, dtype=int)
    for du in range(-3, 4):
        for dv in range(-3, 4):
            for triangle in uvs.astype(np.float64):
                inverse = np.linalg.inv(np.vstack([triangle.T, np.ones(3)]))
                inside = (np.column_stack([points + np.array((du, dv)), np.ones(count)]) @ inverse.T > 1e-9).all(axis=1)
                hits += inside
    return float((hits > 1).mean())


@pytest.mark.slow
def test_a_layout_with_too_many_samples_is_measured_on_a_coarser_grid(monkeypatch):
    arrays = screws(9).arrays()
    fine, _ = measure_uvs(*arrays, grid=512)
    monkeypatch.setattr("blender_addon.uv_measure.sampling._MAX_CANDIDATES", 60_000)
    monkeypatch.setattr("blender_addon.uv_measure.raster._CHUNK", 5_000)
    coarse, _ = measure_uvs(*arrays, grid=512)
    assert coarse.grid < fine.grid == 512
    assert coarse.area_stacked == pytest.approx(fine.area_stacked)


@pytest.mark.parametrize("arrays", [
    (np.zeros((0, 3)), np.zeros((0, 3), np.int64), np.zeros((0, 3, 2), np.float32)),
    (np.zeros((3, 3)), np.array([[0, 1, 2]]), np.zeros((1, 3, 2), np.float32)),
], ids=["no triangle", "one without area"])  # fmt: skip
def test_nothing_to_measure(arrays):
    measure, faces = measure_uvs(*arrays)
    assert measure.used == 0.0
    assert len(faces.density) == len(arrays[1])


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ([(0, 0), (0.5, 0.5)], 0.0),
        ([(0, 0), (0, 0)], 1.0),
        ([(0, 0), (0.25, 0)], 1 / 3),
        ([(0, 0), (1, 0)], 0.0),  # two tiles
        ([(0, 0), (-0.5, 0)], 0.0),
        ([(0, 0), (-1, 0)], 1.0),
    ],
)
def test_the_shared_part_of_the_used_texels(offsets, expected):
    surface = Surface()
    for number, offset in enumerate(offsets):
        surface.quad(FULL @ np.eye(2, 3) + 3 * number, FULL * 0.5 + offset)
    assert measure_uvs(*surface.arrays(), grid=256)[0].shared == pytest.approx(expected, abs=0.01)
