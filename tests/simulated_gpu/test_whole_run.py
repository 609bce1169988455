# SPDX-License-Identifier: Apache-2.0
"""A whole run on a simulated card gives what it gives on the CPU, and waits for the card no oftener than it did."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pgc.devices import DeviceName
from pgc.guidance.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.specs import GuidanceSpec, OracleSpec, StableDiffusionSpec
from pgc.map_names import MapName
from pgc.optimize import Prompt
from pgc.outputs.preview import PreviewConfig
from pgc.outputs.run_folder import OutputConfig, RunFolder
from pgc.outputs.run_report import read_report
from pgc.outputs.turntable import TurntableConfig
from pgc.pipeline import TextureRequest, TextureRun, prepare_run
from pgc.presets import preset_settings, with_maps, with_overrides, with_separate_slots
from pgc.runner import RunHooks, texture_mesh
from server.worker.previews import preview_tiles
from tests.pgc.guidance.conftest import write_model
from tests.simulated_gpu.simulated_device import Simulation

OUTPUTS = OutputConfig(
    preview=PreviewConfig(view_size=16),
    turntable=TurntableConfig(frames=2, size=16),
    first_preview_seconds=0.0,
    checkpoint_seconds=0.001,
)
LIT: tuple[MapName, ...] = ("base_color", "roughness", "metallic", "normal", "occlusion")


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory: pytest.TempPathFactory) -> GuidanceSpec:
    """A tiny Stable Diffusion in single precision, so that a CPU and a card mean the same numbers."""
    folder = write_model(tmp_path_factory.mktemp("model"), xl=False)
    run = LatentDiffusionConfig(dtype="float32", vae_dtype="float32")
    return StableDiffusionSpec(source=str(folder), controlnet=str(folder / "controlnet"), run=run)


@pytest.fixture
def ask(cube_obj: Path, red_texture: Path) -> Callable[..., TextureRequest]:
    """A small request."""

    def build(
        spec: GuidanceSpec, device: DeviceName, *, maps: tuple[MapName, ...] = ("base_color",), slots: bool = False
    ) -> TextureRequest:
        settings = with_overrides(preset_settings("standard", spec), steps=3, views=2, resolution=32, texture_size=32)
        settings = with_maps(settings, spec, maps)
        if slots:
            settings = with_separate_slots(settings)
        return TextureRequest(
            mesh=cube_obj,
            prompt=Prompt(text="red", negative="blue"),
            guidance=spec,
            settings=settings,
            oracle_texture=red_texture if isinstance(spec, OracleSpec) else None,
            device=device,
        )

    return build


def _pixels(folder: RunFolder, name: str) -> np.ndarray:
    return np.asarray(Image.open(folder.path / name), dtype=np.int32)


def _stopped_and_resumed(request: TextureRequest, folder: RunFolder) -> dict[str, Any]:
    steps: list[int] = []
    hooks = RunHooks(on_step=lambda result: steps.append(result.step), should_stop=lambda: len(steps) == 1)
    assert not texture_mesh(request, folder, outputs=OUTPUTS, hooks=hooks).finished
    assert texture_mesh(request, folder, outputs=OUTPUTS, resume=True).finished
    return read_report(folder.report)


def _both(
    ask: Callable[..., TextureRequest], start: Callable[[], object], device: DeviceName, tmp_path: Path, **given: Any
) -> tuple[RunFolder, RunFolder]:
    """The folders of a run on the CPU, and of one on the card that was stopped and went on."""
    here, there = RunFolder(tmp_path / "cpu"), RunFolder(tmp_path / "card")
    assert texture_mesh(ask(device="cpu", **given), here, outputs=OUTPUTS).finished
    start()
    report = _stopped_and_resumed(ask(device=device, **given), there)
    assert report["device"] == f"{device}:0"
    return here, there


CASES: dict[str, dict[str, Any]] = {
    "unlit": {"spec": OracleSpec()},
    "lit": {"spec": OracleSpec(), "maps": LIT},
    "separate slots": {"spec": OracleSpec(), "maps": LIT[:2], "slots": True},
}


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("name", "kind"), [("unlit", "cuda"), ("lit", "cuda"), ("separate slots", "cuda"), ("unlit", "mps")]
)
def test_a_run_on_a_card_equals_one_on_the_cpu(ask, simulate, tmp_path: Path, name: str, kind: DeviceName) -> None:
    here, there = _both(ask, lambda: simulate(kind), kind, tmp_path, **CASES[name])
    for path in sorted(here.path.glob("*.png")):
        difference = np.abs(_pixels(here, path.name) - _pixels(there, path.name))
        assert difference.max() <= 1, path.name
        assert (difference > 0).mean() < 0.01, path.name
    assert (there.path / "textured.glb").is_file()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("view_by_view", [False, True])
def test_a_diffusion_model_runs_on_a_card(ask, diffusion, simulate, view_by_view: bool) -> None:
    request = ask(diffusion, "cpu")
    assert request.settings.optimize.views == 2
    outcomes: list[torch.Tensor] = []
    devices: tuple[DeviceName, ...] = ("cpu", "cuda")
    for device in devices:
        if device != "cpu":
            simulate("cuda")
        run = prepare_run(replace(request, device=device))
        if view_by_view:
            run.optimization.encode_view_by_view()
        for result in run.optimization.steps():
            assert result.non_finite_pixels == 0
            assert result.gradient_maximum > 0.0
        outcomes.append(run.bake().maps["base_color"][0].cpu())
    torch.testing.assert_close(outcomes[0], outcomes[1], rtol=0.0, atol=2e-3)


def test_the_servers_previews_come_from_a_card(ask, cuda: Simulation) -> None:
    run = prepare_run(ask(OracleSpec(), "auto", maps=LIT))
    assert run.guidance.device == cuda.device
    texture = run.optimization.scene.texture
    assert all(parameter.device == cuda.device for parameter in texture.parameters())
    tiles = list(preview_tiles(texture, 16, LIT))
    assert {tile.map for tile in tiles} == {"base_color", "roughness", "metallic", "normal"}
    assert all(len(tile.pixels) == tile.side**2 * tile.channels for tile in tiles)


BUDGETS = {"unlit": 23, "lit": 32}
"""Waits for the card in a step after the first, the oracle's reference included. To be lowered, never raised without a
reason: 14 of them are the stopwatch's."""


def _counted(run: TextureRun, simulation: Simulation) -> tuple[Counter[str], Counter[str]]:
    """Waits and copies of the last of three steps, by place."""
    run.optimization.advance()
    run.optimization.advance()
    simulation.log.on = True
    run.optimization.advance()
    simulation.log.on = False
    syncs, copies = Counter[str](), Counter[str]()
    for (place, kind), count in simulation.log.syncs.items():
        syncs[f"{place} {kind}"] += count
    for (place, size), count in simulation.log.copies.items():
        copies[f"{place} {size} B"] += count
    return syncs, copies


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", BUDGETS)
def test_a_step_waits_for_the_card_no_oftener_than_it_did(
    ask, cuda: Simulation, name: str, record_property: Callable[[str, object], None]
) -> None:
    request = ask(OracleSpec(), "cuda", maps=LIT if name == "lit" else LIT[:1])
    syncs, copies = _counted(prepare_run(request), cuda)
    record_property("syncs", json.dumps(syncs))
    record_property("copies", json.dumps(copies))
    assert sum(syncs.values()) <= BUDGETS[name], json.dumps(syncs, indent=1)
