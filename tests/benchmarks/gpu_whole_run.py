# SPDX-License-Identifier: Apache-2.0
"""Whole runs in this process on a graphics card, by the ways that the command line takes; for `gpu_check.py`.

The same runs go over the simulated card of tests/simulated_gpu; what only a real one shows is here: Warp's own table
and kernels, real errors for want of memory, and how near the estimates of `pgc.runs.memory.plan` are.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pgc.devices import DeviceName, resolve_device, unused_accelerator
from pgc.guidance.specs import OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.maps import MapName
from pgc.optimization.config import Prompt
from pgc.pictures.contact_sheet import PreviewConfig
from pgc.runs.folder import OutputConfig, RunFolder
from pgc.runs.memory.errors import is_broken_context, is_out_of_memory
from pgc.runs.memory.plan import MemoryPlanner, device_memory
from pgc.runs.request import TextureRequest, prepare_run
from pgc.runs.runner import RunHooks, texture_mesh
from pgc.runs.settings.presets import preset_settings, with_maps, with_overrides, with_separate_slots
from server.worker.previews import preview_tiles

__all__ = ["device_and_errors", "estimate_gb", "lit_run", "pocket_run", "unlit_run"]

_HALF = 6
"""Steps before a run on a card is stopped, and after it; on the CPU the program tests itself, and one will do."""
_LIT: tuple[MapName, ...] = ("base_color", "roughness", "metallic", "normal", "occlusion")
_OUTPUTS = OutputConfig(
    preview=PreviewConfig(view_size=48), turntable=None, first_preview_seconds=0.0, checkpoint_seconds=0.001
)


def _name(device: torch.device) -> DeviceName:
    return "cuda" if device.type == "cuda" else "cpu"


def device_and_errors(device: torch.device) -> dict[str, Any]:
    """The device has an index, nothing lies idle, and what the allocator says is understood."""
    found = resolve_device(_name(device))
    if device.type == "cuda" and found.index is None:
        raise AssertionError("a CUDA device without an index: Warp cannot look it up")
    try:
        torch.empty(1 << 50, dtype=torch.uint8, device=found)
    except RuntimeError as error:
        if not is_out_of_memory(error) or is_broken_context(error):
            raise AssertionError(f"not understood as memory that ran out: {error}") from error
    else:
        raise AssertionError("a petabyte was given")
    memory = device_memory(found)
    return {
        "device": str(found),
        "unused": unused_accelerator(),
        "available_gb": None if memory is None else round(memory.available / 1e9, 2),
    }


def _box(folder: Path) -> Path:
    """A cube whose faces are charts of their own, in two slots."""
    places = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    lines = [f"v {x} {y} {z}" for x, y, z in places]
    for face in range(6):
        left, low = face % 3 / 3 + 0.04, face // 3 / 2 + 0.06
        lines += [f"vt {u:.6f} {v:.6f}" for u, v in ((left, low), (left + 0.25, low), (left + 0.25, low + 0.38))]
        lines.append(f"vt {left:.6f} {low + 0.38:.6f}")
    for face, quad in enumerate(quads):
        lines += ["usemtl " + ("a" if face < 3 else "b")]
        lines.append("f " + " ".join(f"{corner + 1}/{4 * face + at + 1}" for at, corner in enumerate(quad)))
    path = folder / "box.obj"
    path.write_text("\n".join(lines) + "\n")
    return path


def _request(folder: Path, device: DeviceName, maps: tuple[MapName, ...], *, slots: bool) -> TextureRequest:
    known = folder / "known.png"
    Image.new("RGB", (64, 64), (210, 60, 30)).save(known)
    steps = 2 * _HALF if device == "cuda" else 2
    settings = with_overrides(preset_settings("standard", OracleSpec()), steps=steps, texture_size=64)
    settings = with_maps(settings, OracleSpec(), maps)
    return TextureRequest(
        mesh=_box(folder),
        prompt=Prompt(text="red"),
        guidance=OracleSpec(),
        settings=with_separate_slots(settings) if slots else settings,
        oracle_texture=known,
        device=device,
    )


def _stopped_and_resumed(request: TextureRequest, folder: RunFolder) -> None:
    steps: list[int] = []
    half = request.settings.optimize.steps // 2
    hooks = RunHooks(on_step=lambda result: steps.append(result.step), should_stop=lambda: len(steps) == half)
    texture_mesh(request, folder, outputs=_OUTPUTS, hooks=hooks)
    texture_mesh(request, folder, outputs=_OUTPUTS, resume=True)


def _compare(device: torch.device, maps: tuple[MapName, ...], *, slots: bool) -> dict[str, Any]:
    """A run on the CPU against one on the device that was stopped half-way, all files written."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        here, there = RunFolder(folder / "cpu"), RunFolder(folder / "device")
        texture_mesh(_request(folder, "cpu", maps, slots=slots), here, outputs=_OUTPUTS)
        _stopped_and_resumed(_request(folder, _name(device), maps, slots=slots), there)
        worst: dict[str, float] = {}
        for path in sorted(here.path.glob("*.png")):
            pair = [np.asarray(Image.open(run.path / path.name), dtype=np.int32) for run in (here, there)]
            difference = np.abs(pair[0] - pair[1])
            worst[path.name] = float(difference.mean())
            if worst[path.name] > 1.0:
                raise AssertionError(f"{path.name} differs by {worst[path.name]:.2f} of 255 in the mean")
    return {"mean_difference_of_255": worst}


def unlit_run(device: torch.device) -> dict[str, Any]:
    """Base colour alone."""
    return _compare(device, _LIT[:1], slots=False)


def lit_run(device: torch.device) -> dict[str, Any]:
    """All maps, slots apart, occlusion by rays."""
    return _compare(device, _LIT, slots=True)


def pocket_run(device: torch.device) -> dict[str, Any]:
    """The built-in prior in the device's own precision, at once and view by view, with the server's previews."""
    spec = PocketSpec()
    # On the CPU the program tests itself, and not the device.
    steps = 6 if device.type == "cuda" else 1
    settings = with_overrides(preset_settings("standard", spec), steps=steps, texture_size=256)
    outcome: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        request = TextureRequest(
            mesh=_box(Path(name)), prompt=Prompt(text="a red brick cube"), settings=settings, device=_name(device)
        )
        for view_by_view in (False, True):
            run = prepare_run(request)
            if view_by_view:
                run.optimization.encode_view_by_view()
            lost = [result.gradient.non_finite_pixels for result in run.optimization.steps()]
            if any(lost):
                raise AssertionError(f"gradients were not finite: {lost} pixels a step")
            tiles = list(preview_tiles(run.optimization.scene.texture, 64))
            if not tiles or not bool(torch.isfinite(run.bake().maps["base_color"][0]).all()):
                raise AssertionError("no preview, or a texture that is not finite")
            outcome["view by view" if view_by_view else "at once"] = dict(run.optimization.finite.summary())
    return outcome


def estimate_gb(size: str, views: int, *, view_by_view: bool, device: torch.device) -> float | None:
    """What `pgc.runs.memory.plan` expects of a model of this size in float16, to be held against the measured peak."""
    specs = {"sd15": StableDiffusionSpec(), "sdxl": SDXLSpec()}
    if size not in specs:
        return None
    spec = specs[size]
    settings = with_overrides(preset_settings("standard", spec), views=views)
    planner = MemoryPlanner(spec=spec, settings=settings, device=device)
    wanted = replace(planner.plans[0], view_by_view=view_by_view)
    number = next(at for at, plan in enumerate(planner.plans) if replace(plan, rows=None) == wanted)
    return round(planner.estimate_bytes(number) / 1e9, 2)
