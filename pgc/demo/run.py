# SPDX-License-Identifier: Apache-2.0
"""Runs the demo: the same mesh with one prompt after another, and a page of what came out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from pgc.demo.assets import demo_mesh_path
from pgc.demo.config import DemoConfig, DemoPrompt
from pgc.demo.page import PageEntry, write_page
from pgc.devices import DeviceName
from pgc.runs.arguments import TextureArguments
from pgc.runs.folder import RunFolder
from pgc.runs.report import RunReport
from pgc.runs.runner import RunHooks, SharedParts, texture_mesh
from pgc.runs.settings.presets import explicit_choices

__all__ = ["DemoOutcome", "InProcess", "Texturize", "demo_arguments", "run_demo"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DemoOutcome:
    """What became of one prompt: whether it finished, and the run's report."""

    finished: bool
    report: RunReport


@runtime_checkable
class Texturize(Protocol):
    """Textures the demo's mesh, here or on a server; the folder is claimed already."""

    def __call__(self, prompt: DemoPrompt, folder: RunFolder) -> DemoOutcome:
        """Raises PgcError where the run fails."""
        ...


def demo_arguments(prompt: DemoPrompt, config: DemoConfig, device: DeviceName | None = None) -> TextureArguments:
    """Returns one of the demo's textures as a command line would name it; every number explicit.

    Raises:
        PgcError: a choice is out of range, or there is no such prior.
    """
    return TextureArguments.of(
        explicit_choices(config.choices, config.resolved()[1]),
        mesh=str(demo_mesh_path()),
        prompt=prompt.text,
        guidance=config.guidance,
        oracle_texture=None if prompt.oracle_texture is None else str(prompt.oracle_texture),
        device=device,
    )


class InProcess:
    """Textures in this process. Same mesh, same prior: loaded once, and each view traced once."""

    def __init__(
        self,
        config: DemoConfig,
        device: DeviceName = "auto",
        hooks_for: Callable[[DemoPrompt], RunHooks] = lambda prompt: RunHooks(),
    ) -> None:
        self.shared = SharedParts()
        self._config = config
        self._device: DeviceName = device
        self._hooks_for = hooks_for

    def __call__(self, prompt: DemoPrompt, folder: RunFolder) -> DemoOutcome:
        """Textures as `Texturize` says."""
        arguments = demo_arguments(prompt, self._config, self._device)
        outcome = texture_mesh(
            arguments.to_request(),
            folder,
            arguments=arguments.given(),
            outputs=self._config.outputs,
            hooks=self._hooks_for(prompt),
            shared=self.shared,
        )
        self.shared = SharedParts(guidance=outcome.run.guidance, rasterizer=outcome.run.rasterizer)
        return DemoOutcome(finished=outcome.finished, report=outcome.report)


def run_demo(out: Path, config: DemoConfig, texturize: Texturize) -> list[DemoOutcome]:
    """Textures the bundled mesh with every prompt; earlier demos in `out` are replaced.

    Ends early, with what there is, when a run was stopped. Raises PgcError where a run fails.
    """
    entries = [PageEntry(name=prompt.name, prompt=prompt.text) for prompt in config.prompts]
    folders = [RunFolder(out / prompt.name) for prompt in config.prompts]
    for folder in folders:
        folder.claim(overwrite=True)
    with ExitStack() as stack:
        for folder in folders:
            stack.enter_context(folder.giving_back())
        return _run_prompts(out, config, texturize, (entries, folders))


def _run_prompts(
    out: Path, config: DemoConfig, texturize: Texturize, places: tuple[list[PageEntry], list[RunFolder]]
) -> list[DemoOutcome]:
    entries, folders = places
    write_page(out, entries)
    outcomes: list[DemoOutcome] = []
    for index, prompt in enumerate(config.prompts):
        outcome = texturize(prompt, folders[index])
        outcomes.append(outcome)
        # A stopped run may have left no model to show.
        if outcome.finished or (folders[index].path / "textured.glb").is_file():
            entries[index] = replace(entries[index], facts=_facts(outcome.report))
        write_page(out, entries)
        if not outcome.finished:
            break
    return outcomes


def _facts(report: RunReport) -> str:
    words = [f"{report.steps_done} steps", f"{report.seconds['total']:.0f} s", f"seed {report.seed}", report.device]
    return ", ".join(words) + "."
