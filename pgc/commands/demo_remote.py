# SPDX-License-Identifier: Apache-2.0
"""The demo over the wire: a private server textures, this process writes files and the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from blender_addon import client as wire
from pgc.demo.config import DemoConfig, DemoPrompt
from pgc.demo.run import DemoOutcome, demo_arguments
from pgc.remote.texturizer import RemoteHooks, RemoteRun, RemoteTexturizer
from pgc.runs.folder import RunFolder

__all__ = ["OverTheWire"]


class OverTheWire:
    """Textures on a server. The next prompt is submitted before the files of this one are written, so that the
    server never waits for us."""

    def __init__(
        self,
        texturizer: RemoteTexturizer,
        config: DemoConfig,
        out: Path,
        hooks_for: Callable[[DemoPrompt], RemoteHooks],
    ) -> None:
        self._texturizer = texturizer
        self._config = config
        self._out = out
        self._hooks_for = hooks_for
        self._next: tuple[DemoPrompt, RemoteRun] | None = None

    def __call__(self, prompt: DemoPrompt, folder: RunFolder) -> DemoOutcome:
        """Texture with one prompt; they must come in the order of the configuration."""
        hooks = self._hooks_for(prompt)
        if self._next is not None and self._next[0] == prompt:
            run = self._next[1]
        else:
            run = self._start(prompt, folder, hooks)
        done = self._texturizer.follow(run, hooks)
        following = self._following(prompt)
        if isinstance(done, wire.JobFinished) and following is not None:
            self._next = (following, self._start(following, RunFolder(self._out / following.name), hooks))
        outcome = self._texturizer.finish(run, done, hooks)
        return DemoOutcome(finished=outcome.finished, report=outcome.report)

    def _start(self, prompt: DemoPrompt, folder: RunFolder, hooks: RemoteHooks) -> RemoteRun:
        return self._texturizer.start(demo_arguments(prompt, self._config), folder, hooks)

    def _following(self, prompt: DemoPrompt) -> DemoPrompt | None:
        place = self._config.prompts.index(prompt) + 1
        return self._config.prompts[place] if place < len(self._config.prompts) else None
