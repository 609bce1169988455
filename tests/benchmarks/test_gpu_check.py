# SPDX-License-Identifier: Apache-2.0
"""The GPU program tests itself on the CPU with tiny models, and says no where there is no GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.warm.popen import warm

HERE = Path(__file__).parent
PROGRAM = HERE / "gpu_check.py"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    with warm():
        return subprocess.run(
            [sys.executable, str(PROGRAM), *arguments],
            capture_output=True, text=True, env=environment, timeout=300, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("views") / "views.safetensors"
    made = _run("--make-gbuffers", str(path))
    assert made.returncode == 0, made.stderr
    return path


def test_without_a_gpu_it_says_so_and_exits_3(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    from gpu_check import main

    with caplog.at_level("INFO"):
        assert main(["--quick"]) == 3
        assert "no CUDA device" in caplog.text
        assert main(["--device", "cpu"]) == 3
        assert "--tiny" in caplog.text
        assert main(["--device", "cpu", "--tiny"]) == 2
        assert "--make-gbuffers" in caplog.text


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_everything_passes_on_the_cpu_with_tiny_models(views: Path, tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    done = _run("--device", "cpu", "--tiny", "--gbuffers", str(views), "--out", str(out))
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text(encoding="utf-8"))
    parts = result["parts"]
    assert result["failed"] == []
    assert all(part["status"] == "passed" for part in parts.values()), parts
    # The CPU agrees with itself exactly, and its runs are bit for bit the same.
    assert parts["texel pyramid"]["image"] == 0.0
    assert parts["loop"]["maximum_difference"] == 0.0
    assert parts["loop"]["two_runs_equal"]
    assert parts["loop"]["moved"] > 0.0
    timed = parts["tiny float32, 2 views a step"]
    assert timed["median_seconds"] > 0.0
    assert {"rasterize", "fetch", "shade", "guidance", "backward", "other"} <= set(timed["median_seconds_by_stage"])


@pytest.mark.slow
def test_stored_views_are_small_and_come_back_bit_for_bit(views: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    from stored_scene import StoredRasterizer, load_scene, save_scene

    from pgc.evaluation.views import fixed_views

    assert views.stat().st_size <= 3_000_000
    scene = load_scene(views)
    again = views.with_name("again.safetensors")
    save_scene(again, scene)
    second = load_scene(again)
    for field in fields(type(scene.gbuffer)):
        assert torch.equal(getattr(scene.gbuffer, field.name), getattr(second.gbuffer, field.name))
    for field in fields(type(scene.triangles)):
        np.testing.assert_array_equal(getattr(scene.triangles, field.name), getattr(second.triangles, field.name))
    rasterizer = StoredRasterizer(scene, torch.device("cpu"))
    size = scene.gbuffer.face_index.shape[-1]
    large = rasterizer.render(fixed_views()[:1], (2 * size, 2 * size))
    small = rasterizer.render(fixed_views()[:1], (size, size))
    # Four enlarged pixels lie around their original: the same middle, half its footprint apart.
    middle = large.uv.unflatten(3, (size, 2)).unflatten(2, (size, 2)).mean(dim=(3, 5))
    torch.testing.assert_close(middle, small.uv, atol=1e-6, rtol=0)
    inside = small.mask[0, 0].nonzero()[0]
    row, column = int(inside[0]), int(inside[1])
    step = large.uv[0, :, 2 * row, 2 * column + 1] - large.uv[0, :, 2 * row, 2 * column]
    torch.testing.assert_close(step, 0.5 * small.uv_footprint[0, :2, row, column], atol=1e-6, rtol=1e-3)


def test_a_difference_beyond_the_limit_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    from gpu_agreement import _difference

    one = torch.ones(3)
    assert _difference("same", one, one, 1e-6) == 0.0
    with pytest.raises(AssertionError, match="above"):
        _difference("other", one, one * 1.01, 1e-3)
    with pytest.raises(AssertionError, match="above"):
        _difference("nan", one, one * float("nan"), 1e-3)
    with pytest.raises(AssertionError, match="proves nothing"):
        _difference("zero", 0 * one, one, 1e-3)


@pytest.mark.slow
def test_random_models_have_the_published_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    from random_models import parameter_counts

    assert parameter_counts("sd15") == {"vae": 83_653_863, "unet": 859_520_964, "controlnet": 361_279_120}
    xl = parameter_counts("sdxl")
    assert xl["unet"] == 2_567_463_684
    assert xl["vae"] == 83_653_863
