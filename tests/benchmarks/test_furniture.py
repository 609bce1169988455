# SPDX-License-Identifier: Apache-2.0
import zipfile

import pytest
import torch

from tests.benchmarks.furniture import FurnitureConfig, model_names, run_all, run_model, summarise
from tests.benchmarks.pattern_run import PatternRunConfig, pattern_colors
from tests.blender_addon.uv_measure.layouts import Surface, full
from tests.pgc import needs

TINY = FurnitureConfig(
    run=PatternRunConfig(steps=8, views=2, resolution=32, texture_size=64, learning_rate=0.15), before=True
)


def _obj(surface):
    lines = [f"v {x} {y} {z}" for quad in surface.quads for x, y, z in quad.tolist()]
    lines += [f"vt {u} {v}" for quad in surface.uvs for u, v in quad.tolist()]
    for face in range(len(surface.quads)):
        lines.append("f " + " ".join(f"{4 * face + corner}/{4 * face + corner}" for corner in (1, 2, 3, 4)))
    return "\n".join(lines) + "\n"


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "models.zip"
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("models/clean/clean.obj", _obj(Surface().box()))
        content.writestr("models/tiling/tiling.OBJ", _obj(Surface().box(uv=full)))
        content.writestr("models/broken/broken.obj", "v 0 0 nonsense\n")
        content.writestr("models/LICENSE.txt", "CC0")
    return path


@pytest.mark.slow
@needs.XATLAS
@pytest.mark.usefixtures("coarse_uv_measure")
def test_every_model_becomes_a_row_and_a_run_goes_on_where_it_was(archive, tmp_path):
    said = []
    result = run_all(archive, TINY, tmp_path / "work", None, said.append)
    rows = {row["model"]: row for row in result["rows"]}
    assert model_names(archive) == ["models/broken/broken.obj", "models/clean/clean.obj", "models/tiling/tiling.OBJ"]
    assert "refused" in rows["broken"]
    assert (rows["clean"]["verdict"], rows["clean"]["done"]) == ("good", "kept")
    assert (rows["tiling"]["verdict"], rows["tiling"]["done"]) == ("tiling", "new")
    assert rows["tiling"]["error_in_own_uvs"] > 1.3 * rows["tiling"]["error"], "six sides with one picture"
    assert said[0].startswith("3 models, 0 done before; about ")
    again = []
    assert run_all(archive, TINY, tmp_path / "work", None, again.append)["rows"] == result["rows"]
    assert len(again) == 1
    assert "3 done before" in again[0]


def test_the_summary_names_what_is_three_times_worse_than_the_median():
    rows = [
        {"model": str(number), "verdict": "good", "done": "kept", "error": error, "shared": 0.0, "stacked": 0.0}
        for number, error in enumerate((0.03, 0.03, 0.04, 0.2))
    ]
    rows.append({"model": "new", "verdict": "none", "done": "new", "error": 0.03, "shared": 0.001, "stacked": 0.0})
    rows.append({**rows[3], "model": "cards", "stacked": 0.98})
    rows.append({**rows[0], "model": "another"})
    summary = summarise([*rows, {"model": "bad", "refused": "why"}])
    assert (summary["outliers"], summary["refused"], summary["n"]) == (["3"], 1, 8)
    assert summary["outliers_stacked_on_purpose"] == ["cards"]
    assert summary["worst_shared"] == 0.001


def test_the_pattern_differs_between_a_place_and_its_mirror_image():
    x = torch.linspace(-0.8, 0.8, 17)
    places = torch.stack(torch.meshgrid(x, x, x, indexing="ij")).reshape(1, 3, 17, -1)
    colors = pattern_colors(places, 0.8)
    assert colors.min() >= 0.1 - 1e-6
    assert colors.max() <= 0.9 + 1e-6
    for axis in range(3):
        mirror = places.clone()
        mirror[:, axis] *= -1
        assert (pattern_colors(mirror, 0.8) - colors).abs().mean() > 0.15


@pytest.mark.slow
def test_a_model_is_run_by_its_name(archive):
    assert run_model(archive, "models/clean/clean.obj", TINY)["triangles"] == 12
