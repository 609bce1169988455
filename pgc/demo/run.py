# SPDX-License-Identifier: Apache-2.0
"""Runs the demo: the same mesh with one prompt after another, and a page of what came out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pgc.demo.assets import demo_mesh_path
from pgc.demo.config import DemoConfig, DemoPrompt
from pgc.demo.page import PageEntry, write_page
from pgc.optimize import Prompt
from pgc.outputs.run_folder import RunFolder
from pgc.pipeline import DeviceName, TextureRequest
from pgc.runner import RunHooks, RunOutcome, SharedParts, texture_mesh

__all__ = ["demo_request", "run_demo"]


def demo_request(prompt: DemoPrompt, config: DemoConfig, device: DeviceName = "auto") -> TextureRequest:
    """The request of one of the demo's textures."""
    return TextureRequest(
        mesh=demo_mesh_path(),
        prompt=Prompt(text=prompt.text),
        guidance=config.guidance,
        settings=config.settings,
        oracle_texture=prompt.oracle_texture,
        device=device,
    )


def run_demo(
    out: Path,
    config: DemoConfig,
    *,
    device: DeviceName = "auto",
    hooks_for: Callable[[DemoPrompt], RunHooks] = lambda prompt: RunHooks(),
) -> list[RunOutcome]:
    """Textures the bundled mesh with every prompt; earlier demos in `out` are replaced.

    Ends early, with what there is, when a run's hooks ask for it. Raises PgcError where a run fails.
    """
    entries = [PageEntry(name=prompt.name, prompt=prompt.text) for prompt in config.prompts]
    folders = [RunFolder(out / prompt.name) for prompt in config.prompts]
    for folder in folders:
        folder.claim(overwrite=True)
        # An older picture would pass for this run's.
        folder.preview.unlink(missing_ok=True)
    write_page(out, entries)
    outcomes: list[RunOutcome] = []
    shared = SharedParts()
    for index, prompt in enumerate(config.prompts):
        outcome = texture_mesh(
            demo_request(prompt, config, device),
            folders[index],
            outputs=config.outputs,
            hooks=hooks_for(prompt),
            shared=shared,
        )
        outcomes.append(outcome)
        # Same mesh, same prior: loaded once, and each view traced once.
        shared = SharedParts(guidance=outcome.run.guidance, rasterizer=outcome.run.rasterizer)
        entries[index] = replace(entries[index], facts=_facts(outcome))
        write_page(out, entries)
        if not outcome.finished:
            break
    return outcomes


def _facts(outcome: RunOutcome) -> str:
    report = outcome.report
    words = [f"{report.steps_done} steps", f"{report.seconds['total']:.0f} s", f"seed {report.seed}", report.device]
    return ", ".join(words) + "."
