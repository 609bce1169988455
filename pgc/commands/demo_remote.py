# SPDX-License-Identifier: Apache-2.0
"""The demo over the wire: a private server textures, this process writes files and the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from blender_addon import client as wire
from pgc.demo.assets import demo_mesh_path
from pgc.demo.config import DemoConfig, DemoPrompt
from pgc.demo.run import DemoOutcome
from pgc.errors import ConfigError
from pgc.guidance.specs import OracleSpec, PocketSpec
from pgc.remote.texturizer import RemoteHooks, RemoteRun, RemoteTexturizer
from pgc.runs.arguments import TextureArguments
from pgc.runs.folder import RunFolder

__all__ = ["OverTheWire", "demo_arguments"]


def demo_arguments(prompt: DemoPrompt, config: DemoConfig) -> TextureArguments:
    """One of the demo's textures as a command line would name it; every number explicit.

    Raises:
        ConfigError: the demo's prior is none that has a name.
    """
    match config.guidance:
        case PocketSpec(source=None):
            guidance = "pocket"
        case OracleSpec():
            guidance = "oracle"
        case _:
            raise ConfigError(f"The demo's prior is {type(config.guidance).__name__}; expected pocket or the oracle.")
    settings = config.settings
    return TextureArguments(
        mesh=str(demo_mesh_path()),
        prompt=prompt.text,
        guidance=guidance,
        steps=settings.optimize.steps,
        views=settings.optimize.views,
        resolution=settings.optimize.resolution,
        texture_size=settings.texture.texture_size,
        seed=settings.optimize.seed,
        maps=",".join(settings.maps),
        oracle_texture=None if prompt.oracle_texture is None else str(prompt.oracle_texture),
    )


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
