# SPDX-License-Identifier: Apache-2.0
import pytest

from pgc.guidance.oracle import OracleConfig
from pgc.guidance.specs import OracleSpec
from pgc.optimize import Prompt
from pgc.outputs.preview import PreviewConfig
from pgc.outputs.run_folder import OutputConfig, RunFolder
from pgc.outputs.run_report import read_report
from pgc.outputs.turntable import TurntableConfig
from pgc.pipeline import TextureRequest
from pgc.presets import preset_settings, with_overrides
from pgc.runner import RunHooks, SharedParts, texture_mesh

ORACLE = OracleSpec(oracle=OracleConfig(image_size=16))
OUTPUTS = OutputConfig(
    preview=PreviewConfig(view_size=16),
    turntable=TurntableConfig(size=16, frames=2),
    first_preview_seconds=0.0,
    checkpoint_seconds=1e-6,
)
RESULTS = {"base_color.png", "textured.glb", "preview.png", "turntable.webp", "run.json"}


@pytest.fixture
def request_(cube_obj, red_texture):
    settings = preset_settings("standard", ORACLE)
    return TextureRequest(
        mesh=cube_obj,
        prompt=Prompt(text="red"),
        guidance=ORACLE,
        settings=with_overrides(settings, steps=4, views=1, resolution=16, texture_size=32),
        oracle_texture=red_texture,
        device="cpu",
    )


def names(folder):
    return {path.name for path in folder.path.iterdir()}


def test_a_whole_run_leaves_results_and_no_checkpoint(request_, tmp_path):
    folder = RunFolder(tmp_path / "out")
    seen = []
    outcome = texture_mesh(
        request_,
        folder,
        arguments={"prompt": "red"},
        outputs=OUTPUTS,
        hooks=RunHooks(on_step=lambda result: seen.append((result.step, folder.preview.is_file()))),
    )
    assert outcome.finished
    assert names(folder) == RESULTS
    # The first picture is there right after the first step.
    assert seen == [(1, True), (2, True), (3, True), (4, True)]
    report = read_report(folder.report)
    assert (report["state"], report["steps_done"], report["arguments"]) == ("finished", 4, {"prompt": "red"})
    assert set(report["files"]) == RESULTS - {"run.json"}
    assert {"prepare", "rasterize", "guidance", "bake", "write", "total"} <= set(report["seconds"])
    assert report["mesh"]["polygons"] == 6
    assert report["resolved"]["settings"]["optimize"]["steps"] == 4


def test_a_stopped_run_leaves_what_it_has_and_goes_on_to_the_same_bytes(request_, tmp_path):
    whole = RunFolder(tmp_path / "whole")
    texture_mesh(request_, whole, outputs=OUTPUTS)
    folder = RunFolder(tmp_path / "stopped")
    steps = []
    hooks = RunHooks(on_step=lambda result: steps.append(result.step), should_stop=lambda: len(steps) == 2)
    outcome = texture_mesh(request_, folder, outputs=OUTPUTS, hooks=hooks)
    assert not outcome.finished
    assert names(folder) == RESULTS | {"checkpoint.safetensors"}
    assert read_report(folder.report)["state"] == "interrupted"
    resumed = texture_mesh(request_, folder, outputs=OUTPUTS, resume=True, hooks=RunHooks(on_step=hooks.on_step))
    assert steps == [1, 2, 3, 4]
    assert resumed.finished
    for name in ("base_color.png", "textured.glb", "preview.png"):
        assert (folder.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_a_crash_leaves_a_checkpoint_and_says_that_the_run_was_going_on(request_, tmp_path):
    def crash(result):
        if result.step == 2:
            raise RuntimeError("power cut")

    folder = RunFolder(tmp_path / "out")
    with pytest.raises(RuntimeError, match="power cut"):
        texture_mesh(request_, folder, outputs=OUTPUTS, hooks=RunHooks(on_step=crash))
    assert read_report(folder.report)["state"] == "running"
    assert texture_mesh(request_, folder, outputs=OUTPUTS, resume=True).finished


def test_shared_parts_are_used(request_, tmp_path):
    first = texture_mesh(request_, RunFolder(tmp_path / "a"), outputs=OUTPUTS)
    shared = SharedParts(guidance=first.run.guidance, rasterizer=first.run.rasterizer)
    second = texture_mesh(request_, RunFolder(tmp_path / "b"), outputs=OUTPUTS, shared=shared)
    assert second.run.guidance is first.run.guidance
    assert second.run.rasterizer is first.run.rasterizer
    assert (tmp_path / "a" / "base_color.png").read_bytes() == (tmp_path / "b" / "base_color.png").read_bytes()


def test_previews_come_at_growing_distances(request_, tmp_path):
    # With the first one after an hour there is none before the end, where it is part of the results.
    outputs = OutputConfig(
        preview=PreviewConfig(view_size=16), turntable=None, first_preview_seconds=3600.0, checkpoint_seconds=3600.0
    )
    folder = RunFolder(tmp_path / "out")
    seen = []
    hooks = RunHooks(on_step=lambda result: seen.append((folder.preview.is_file(), folder.checkpoint.is_file())))
    outcome = texture_mesh(request_, folder, outputs=outputs, hooks=hooks)
    assert seen == [(False, False)] * 4
    assert "previews" not in outcome.report.seconds
    assert folder.preview.is_file()
