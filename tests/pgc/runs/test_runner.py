# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest
import torch
from PIL import Image

from pgc.errors import ConfigError, GuidanceError
from pgc.guidance.oracle import OracleConfig
from pgc.guidance.specs import OracleSpec
from pgc.lighting.explained.explaining import ExplainedLightConfig
from pgc.optimization.config import Prompt
from pgc.optimization.gradient_statistics import gradient_statistics
from pgc.optimization.loop import Optimization
from pgc.pictures.contact_sheet import PreviewConfig
from pgc.pictures.turntable import TurntableConfig
from pgc.runs.folder import OutputConfig, RunFolder
from pgc.runs.memory.plan import DeviceMemory, MemoryPlanner
from pgc.runs.report import read_report
from pgc.runs.request import TextureRequest
from pgc.runs.runner import RunHooks, SharedParts, texture_mesh
from pgc.runs.settings.presets import preset_settings, with_maps, with_overrides

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


@pytest.mark.slow
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
    assert report["rasterizer"] == "warp"
    assert report["resolved"]["settings"]["optimize"]["steps"] == 4


@pytest.mark.slow
def test_a_run_that_finds_its_light_says_which_and_shows_it(request_, tmp_path):
    settings = with_overrides(request_.settings, steps=1)
    settings = with_maps(settings, ORACLE, ("base_color", "roughness", "metallic"))
    # One environment: eight take most of a second to blur.
    material = replace(settings.material, environments=("sky",), drawn=0)
    optimize = replace(settings.optimize, explained_light=ExplainedLightConfig())
    folder = RunFolder(tmp_path / "out")
    settings = replace(settings, material=material, optimize=optimize)
    texture_mesh(replace(request_, settings=settings), folder, outputs=OUTPUTS)
    report = read_report(folder.report)
    assert len(report["found_light"]["coefficients"]) == 25
    assert len(report["found_light"]["mean_color"]) == 3
    assert "found_light.png" in report["files"]
    with Image.open(folder.path / "found_light.png") as picture:
        assert picture.size == (128, 64)
        assert picture.getextrema() != ((0, 0), (0, 0), (0, 0))


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_crash_leaves_a_checkpoint_and_says_that_the_run_was_going_on(request_, tmp_path):
    def crash(result):
        if result.step == 2:
            raise RuntimeError("power cut")

    folder = RunFolder(tmp_path / "out")
    with pytest.raises(RuntimeError, match="power cut"):
        texture_mesh(request_, folder, outputs=OUTPUTS, hooks=RunHooks(on_step=crash))
    assert read_report(folder.report)["state"] == "running"
    assert texture_mesh(request_, folder, outputs=OUTPUTS, resume=True).finished


@pytest.mark.slow
def test_shared_parts_are_used(request_, tmp_path):
    first = texture_mesh(request_, RunFolder(tmp_path / "a"), outputs=OUTPUTS)
    shared = SharedParts(guidance=first.run.guidance, rasterizer=first.run.rasterizer)
    second = texture_mesh(request_, RunFolder(tmp_path / "b"), outputs=OUTPUTS, shared=shared)
    assert second.run.guidance is first.run.guidance
    assert second.run.rasterizer is first.run.rasterizer
    assert (tmp_path / "a" / "base_color.png").read_bytes() == (tmp_path / "b" / "base_color.png").read_bytes()


@pytest.mark.slow
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


@pytest.fixture
def two_views(request_):
    return replace(request_, settings=with_overrides(request_.settings, views=2))


@pytest.fixture
def scarce(monkeypatch):
    """Makes steps with more than `views` views run out of memory from step `at` on."""
    advance = Optimization.advance

    def set_up(views: int, at: int = 0) -> None:
        def step(self):
            if self.config.views > views and self.step >= at:
                raise RuntimeError("CUDA error: out of memory")
            return advance(self)

        monkeypatch.setattr(Optimization, "advance", step)

    return set_up


@pytest.mark.slow
def test_memory_that_runs_out_costs_views_and_not_the_run(two_views, tmp_path, scarce):
    scarce(views=1, at=2)
    folder, steps, notes = RunFolder(tmp_path / "out"), [], []
    hooks = RunHooks(on_step=lambda result: steps.append(result.step), on_note=notes.append)
    outcome = texture_mesh(two_views, folder, outputs=OUTPUTS, hooks=hooks)
    assert outcome.finished
    assert steps == [1, 2, 3, 4], "it must not start over"
    (note,) = notes
    assert "1 instead of 2 views" in note
    report = read_report(folder.report)
    assert note in report["warnings"]
    assert report["memory_plan"]["views"] == 1
    assert report["resolved"]["settings"]["optimize"]["views"] == 2, "what was asked for stays on record"


@pytest.mark.slow
def test_a_smaller_plan_is_kept_over_a_resume(two_views, tmp_path, scarce):
    scarce(views=1, at=1)
    folder, steps = RunFolder(tmp_path / "out"), []
    hooks = RunHooks(on_step=lambda result: steps.append(result.step), should_stop=lambda: len(steps) == 2)
    assert not texture_mesh(two_views, folder, outputs=OUTPUTS, hooks=hooks).finished
    outcome = texture_mesh(two_views, folder, outputs=OUTPUTS, resume=True)
    assert outcome.finished
    assert outcome.report.memory_plan["views"] == 1
    assert not any("ran out" in warning for warning in outcome.report.warnings), "it begins with the plan that fits"


@pytest.mark.slow
def test_a_run_that_fits_with_no_plan_is_one_sentence(two_views, tmp_path, scarce):
    scarce(views=0)
    with pytest.raises(
        ConfigError,
        match=r"not enough memory .* even with one small view a step\. (Close other|Ask for a smaller texture)",
    ):
        texture_mesh(two_views, RunFolder(tmp_path / "out"), outputs=OUTPUTS)


@pytest.mark.slow
def test_a_plan_is_made_before_the_run_from_what_is_free(two_views, tmp_path, monkeypatch):
    memory = DeviceMemory(available=10**9, total=8 * 10**9)
    monkeypatch.setattr("pgc.runs.request.device_memory", lambda device: memory)
    monkeypatch.setattr(MemoryPlanner, "estimate_bytes", lambda self, number: (3 - 2 * number) * 10**9 // 2)
    outcome = texture_mesh(two_views, RunFolder(tmp_path / "out"), outputs=OUTPUTS)
    assert outcome.report.memory_plan["views"] == 1
    assert any("where 1.0 GB are free: the job goes on with 1 instead of 2" in text for text in outcome.report.warnings)


@pytest.mark.slow
def test_a_prior_without_finite_gradients_leaves_a_state_and_the_reason(two_views, tmp_path, monkeypatch):
    monkeypatch.setattr("pgc.optimization.finite_watch.MOST_SPOILT_IN_A_ROW", 2)
    monkeypatch.setattr(
        "pgc.optimization.distillation_loop.gradient_statistics",
        lambda before, after, covered, lost: gradient_statistics(before, after, covered, torch.ones_like(lost)),
    )
    folder = RunFolder(tmp_path / "out")
    with pytest.raises(GuidanceError, match="no finite gradient"):
        texture_mesh(two_views, folder, outputs=OUTPUTS)
    report = read_report(folder.report)
    assert (report["state"], report["steps_done"]) == ("failed", 2)
    assert report["non_finite"]["steps"] == 2
    assert any("no finite gradient" in warning for warning in report["warnings"])
    assert folder.checkpoint.is_file()
