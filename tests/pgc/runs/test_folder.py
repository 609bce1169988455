# SPDX-License-Identifier: Apache-2.0
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pgc.errors import CheckpointError, ConfigError
from pgc.mesh import load_mesh, prepare_mesh
from pgc.pictures.contact_sheet import PreviewConfig
from pgc.pictures.studio import Framing
from pgc.pictures.turntable import TurntableConfig
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.runs import earlier_run as earlier_run_module
from pgc.runs.folder import OutputConfig, PreviewCadence, RunFolder
from pgc.runs.report import FORMAT
from pgc.texture.field import BakedTexture

SMALL = OutputConfig(preview=PreviewConfig(view_size=16), turntable=TurntableConfig(size=16, frames=2))


def test_a_new_folder_is_made(tmp_path):
    RunFolder(tmp_path / "a" / "b").claim(overwrite=False)
    assert (tmp_path / "a" / "b").is_dir()


def test_an_empty_folder_may_be_taken(tmp_path):
    RunFolder(tmp_path).claim(overwrite=False)


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(ConfigError, match="not empty; --overwrite"):
        RunFolder(tmp_path).claim(overwrite=False)


def test_an_unfinished_run_is_pointed_out(tmp_path):
    RunFolder(tmp_path).checkpoint.touch()
    with pytest.raises(ConfigError, match="--resume continues"):
        RunFolder(tmp_path).claim(overwrite=False)


def test_overwriting_sets_the_old_checkpoint_aside_and_nothing_foreign(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    RunFolder(tmp_path).checkpoint.touch()
    RunFolder(tmp_path).claim(overwrite=True)
    assert names_in(tmp_path) == {"holiday.jpg", "earlier-run/checkpoint.safetensors"}


def names_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("report", "checkpoint", "expected"),
    [
        (None, False, "nothing"),
        ({"state": "running"}, False, "nothing"),  # killed before its first checkpoint
        ({"state": "running"}, True, "unfinished"),
        ({"state": "interrupted"}, True, "unfinished"),
        ({"state": "failed"}, True, "unfinished"),
        ({"state": "finished"}, False, "finished"),
        ({"state": "finished"}, True, "finished"),  # killed before the checkpoint was removed
        ({"state": "running", "server": {"job": "1"}}, False, "unfinished"),
        ({"state": "interrupted", "server": {"job": "1"}}, False, "nothing"),  # cancelled there for good
        ({"state": "failed", "server": {"job": "1"}}, False, "nothing"),
    ],
)
def test_what_a_command_that_is_repeated_finds(tmp_path, report, checkpoint, expected):
    folder = RunFolder(tmp_path)
    if report is not None:
        folder.report.write_text(json.dumps({"format": FORMAT, **report}))
    if checkpoint:
        folder.checkpoint.touch()
    assert folder.left_behind() == expected


@pytest.mark.parametrize(
    "content", ["", "{", "no report", "[]", json.dumps({"format": "of something else", "state": "finished"})]
)
def test_a_report_that_says_nothing_is_not_for_a_repeated_command_to_replace(tmp_path, content):
    folder = RunFolder(tmp_path)
    folder.report.write_text(content)
    with pytest.raises(CheckpointError, match="start the run again"):
        folder.left_behind()


def test_a_checkpoint_without_a_report_is_no_run_to_go_on_with(tmp_path):
    RunFolder(tmp_path).checkpoint.touch()
    assert RunFolder(tmp_path).left_behind() == "nothing"


OLD = ("run.json", "roughness.png", "export/roughness.exr", "preview.png")


def earlier_run(out):
    """A run's folder with a file that is not the run's."""
    (out / "export").mkdir(parents=True)
    files = {"roughness.png": "", "export/roughness.exr": "", "../outside.png": "", "/etc/hostname": ""}
    for name in OLD[1:]:
        (out / name).write_text(f"old {name}")
    (out / "run.json").write_text(json.dumps({"format": FORMAT, "files": files}))
    (out / "mine.png").touch()
    (out.parent / "outside.png").touch()
    return {name: (out / name).read_bytes() for name in OLD}


def test_overwriting_sets_aside_what_another_run_wrote_and_nothing_else(tmp_path):
    out = tmp_path / "out"
    earlier_run(out)
    RunFolder(out).claim(overwrite=True)
    assert names_in(out) == {"mine.png", *(f"earlier-run/{name}" for name in OLD)}
    assert (tmp_path / "outside.png").exists()
    assert Path("/etc/hostname").exists() or not Path("/etc").exists()


def test_a_folder_whose_report_is_none_is_claimed(tmp_path):
    (tmp_path / "run.json").write_text("no report")
    RunFolder(tmp_path).claim(overwrite=True)
    assert names_in(tmp_path) == {"earlier-run/run.json"}


@pytest.mark.parametrize("error", [RuntimeError("a fault"), KeyboardInterrupt(), ConfigError("no model")])
def test_a_run_that_fails_gives_back_the_one_that_it_was_to_replace(tmp_path, error):
    old = earlier_run(tmp_path / "out")
    folder = RunFolder(tmp_path / "out")
    folder.claim(overwrite=True)
    folder.report.write_text(json.dumps({"format": FORMAT, "files": {}}))
    folder.preview.write_text("new")
    with pytest.raises(type(error)), folder.giving_back():
        raise error
    assert names_in(folder.path) == {"mine.png", *OLD}
    assert {name: (folder.path / name).read_bytes() for name in OLD} == old


def test_a_run_that_was_killed_is_no_result_for_the_next_one_either(tmp_path):
    old = earlier_run(tmp_path / "out")
    folder = RunFolder(tmp_path / "out")
    for _ in range(3):
        folder.claim(overwrite=True)
        folder.report.write_text(json.dumps({"format": FORMAT, "files": {}}))
        folder.checkpoint.write_text("new")
    folder.checkpoint.unlink()
    with pytest.raises(ConfigError), folder.giving_back():
        raise ConfigError("no model")
    assert {name: (folder.path / name).read_bytes() for name in OLD} == old
    assert names_in(folder.path) == {"mine.png", *OLD}


@pytest.mark.parametrize("left", ["checkpoint.safetensors", "run.json"])
def test_a_run_that_can_go_on_stays_and_so_does_the_earlier_one_beside_it(tmp_path, left):
    earlier_run(tmp_path / "out")
    folder = RunFolder(tmp_path / "out")
    folder.claim(overwrite=True)
    (folder.path / left).write_text(json.dumps({"format": FORMAT, "files": {}, "server": {"key": "x"}}))
    with pytest.raises(ConfigError), folder.giving_back():
        raise ConfigError("the server went away")
    assert names_in(folder.path) == {"mine.png", left, *(f"earlier-run/{name}" for name in OLD)}


def test_what_cannot_be_set_aside_stays_where_it_is(tmp_path, monkeypatch):
    old = earlier_run(tmp_path / "out")
    folder, real, moved = RunFolder(tmp_path / "out"), earlier_run_module._move, []

    def refuse(source, target):
        if len(moved) == 2:
            moved.append(source)
            raise PermissionError(13, "Permission denied", str(source))
        moved.append(source)
        real(source, target)

    monkeypatch.setattr(earlier_run_module, "_move", refuse)
    with pytest.raises(PermissionError):
        folder.claim(overwrite=True)
    assert {name: (folder.path / name).read_bytes() for name in OLD} == old


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(ConfigError, match="is a file"):
        RunFolder(tmp_path / "taken").claim(overwrite=True)
    with pytest.raises(ConfigError, match="cannot be made"):
        RunFolder(tmp_path / "taken" / "below").claim(overwrite=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"first_preview_seconds": -1.0},
        {"checkpoint_seconds": 0.0},
        {"preview_growth": 1.0},
        {"preview_most_seconds": 0.0},
    ],
)
def test_impossible_settings_are_refused(changes):
    with pytest.raises(ConfigError):
        OutputConfig(**changes)


@pytest.fixture
def cube(cube_obj):
    return prepare_mesh(load_mesh(cube_obj))


def write(folder, mesh, texture, config=SMALL):
    rasterizer = WarpRasterizer(mesh.triangles, device=torch.device("cpu"))
    return RunFolder(folder).write_texture(mesh, texture, rasterizer, Framing.of(mesh.triangles), config)


@pytest.mark.slow
def test_the_earlier_run_goes_when_there_is_a_result(tmp_path, cube):
    earlier_run(tmp_path / "out")
    RunFolder(tmp_path / "out").claim(overwrite=True)
    files = write(tmp_path / "out", cube, BakedTexture(maps={"base_color": [torch.zeros(3, 16, 16)]}))
    assert not (tmp_path / "out" / "earlier-run").exists()
    assert names_in(tmp_path / "out") == {"mine.png", *files}


@pytest.mark.slow
def test_everything_is_written_and_hashed(tmp_path, cube):
    out = tmp_path / "out"
    files = write(out, cube, BakedTexture(maps={"base_color": [torch.full((3, 16, 16), 0.2)]}))
    assert set(files) == {"base_color.png", "textured.glb", "preview.png", "turntable.webp"}
    assert set(files) == {path.name for path in out.iterdir()}
    for name, digest in files.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    assert np.array(Image.open(out / "base_color.png")).tolist() == [[[51, 51, 51]] * 16] * 16
    assert (out / "textured.glb").read_bytes()[:4] == b"glTF"


def test_without_a_turntable_there_is_none(tmp_path, cube):
    config = OutputConfig(preview=PreviewConfig(view_size=16), turntable=None)
    files = write(tmp_path / "out", cube, BakedTexture(maps={"base_color": [torch.zeros(3, 16, 16)]}), config)
    assert "turntable.webp" not in files


@pytest.mark.slow
def test_tiles_get_a_file_each(tmp_path):
    path = tmp_path / "two.obj"
    corners = [(0, 0), (1, 0), (1, 1), (0, 1)]
    lines = [f"v {x} {y} {z}" for z in (0, 1) for x, y in corners]
    lines += [f"vt {0.1 + 0.8 * u + tile} {0.1 + 0.8 * v}" for tile in (0, 1) for u, v in corners]
    lines += ["f 1/1 2/2 3/3 4/4", "f 5/5 6/6 7/7 8/8"]
    path.write_text("\n".join(lines) + "\n")
    mesh = prepare_mesh(load_mesh(path))
    assert mesh.report.tiles == (1001, 1002)
    texture = BakedTexture(maps={"base_color": [torch.zeros(3, 16, 16), torch.ones(3, 16, 16)]}, tiles=(1001, 1002))
    files = write(tmp_path / "out", mesh, texture)
    assert {"base_color.1001.png", "base_color.1002.png"} <= set(files)
    assert np.array(Image.open(tmp_path / "out" / "base_color.1002.png")).min() == 255


def maps_of(side=16):
    """One value a map, so that channels are told apart."""
    values = {"base_color": (0.8, 0.2, 0.4), "roughness": (0.6,), "metallic": (1.0,), "normal": (0.5, 0.5, 1.0)}
    values["occlusion"] = (0.2,)
    return {
        name: [torch.tensor(value)[:, None, None].expand(-1, side, side).contiguous()] for name, value in values.items()
    }


@pytest.mark.slow
def test_a_material_gets_a_png_a_map_and_orm(tmp_path, cube):
    out = tmp_path / "out"
    files = write(out, cube, BakedTexture(maps=maps_of()))
    maps = {"base_color": "RGB", "roughness": "L", "metallic": "L", "normal": "RGB", "occlusion": "L", "orm": "RGB"}
    assert {f"{name}.png" for name in maps} <= set(files)
    for name, mode in maps.items():
        with Image.open(out / f"{name}.png") as image:
            assert image.mode == mode
    # Occlusion, roughness, metallic.
    assert np.array(Image.open(out / "orm.png"))[3, 4].tolist() == [51, 153, 255]
    [material] = glb_json(out / "textured.glb")["materials"]
    surface = material["pbrMetallicRoughness"]
    assert material["occlusionTexture"]["index"] == surface["metallicRoughnessTexture"]["index"]
    assert {"baseColorTexture", "metallicRoughnessTexture"} <= set(surface)
    assert "normalTexture" in material


def glb_json(path):
    data = path.read_bytes()
    return json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])


def test_without_roughness_metallic_and_occlusion_there_is_no_orm(tmp_path, cube):
    kept = {name: images for name, images in maps_of().items() if name in ("base_color", "normal")}
    files = write(tmp_path / "out", cube, BakedTexture(maps=kept))
    assert "orm.png" not in files
    assert "normal.png" in files


@pytest.mark.slow
def test_what_orm_lacks_is_matte_free_and_no_metal(tmp_path, cube):
    kept = {name: images for name, images in maps_of().items() if name in ("base_color", "occlusion")}
    write(tmp_path / "out", cube, BakedTexture(maps=kept))
    assert np.array(Image.open(tmp_path / "out" / "orm.png"))[0, 0].tolist() == [51, 255, 0]


def test_the_time_to_the_next_preview_grows_with_the_run():
    cadence = PreviewCadence(OutputConfig(first_preview_seconds=2.0, preview_growth=3.0), begun=10.0, first=12.0)
    assert [cadence.is_due(now) for now in (11.9, 12.0)] == [False, True]
    cadence.made(14.0)
    # 4 seconds of running by now: the next after 3 times as many.
    assert [cadence.is_due(now) for now in (21.9, 22.0)] == [False, True]
    early = PreviewCadence(OutputConfig(first_preview_seconds=2.0, preview_growth=3.0), begun=10.0, first=10.0)
    early.made(10.0)
    assert [early.is_due(now) for now in (13.9, 14.0)] == [False, True], "the first ones do not follow at once"


def test_in_a_long_run_the_last_preview_is_half_a_minute_old():
    cadence = PreviewCadence(OutputConfig(first_preview_seconds=2.0), begun=0.0, first=2.0)
    made = list[float]()
    # Half an hour, of which doubling alone showed nothing after its seventeenth minute.
    for now in map(float, range(1740)):
        if cadence.is_due(now):
            made.append(now)
            cadence.made(now)
    assert made[:5] == [2, 4, 8, 16, 32]
    assert max(later - one for one, later in zip(made, [*made[1:], 1740], strict=True)) <= 30
    cadence.made(2000.0, took=6.0)
    assert [cadence.is_due(now) for now in (2119.0, 2120.0)] == [False, True], "slow ones come at a twentieth"
