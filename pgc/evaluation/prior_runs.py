# SPDX-License-Identifier: Apache-2.0
"""What the evaluations of a prior have in common: what they were asked for, and one run at fixed settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pgc.guidance.base import Guidance
from pgc.mesh import PreparedMesh
from pgc.optimization.config import Prompt
from pgc.runs.prepared import start_optimization
from pgc.runs.settings.presets import RunSettings
from pgc.texture.field import BakedTexture

__all__ = ["PriorRunRequest", "Texturize", "Texturizer"]

Texturize = Callable[[PreparedMesh, str, int], BakedTexture]
"""Textures a mesh by a prompt and a seed, at the settings under test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorRunRequest:
    """What the command was asked for."""

    work: Path
    out: Path | None
    limit: int | None
    weights: Path | None


class Texturizer:
    """Textures a mesh at fixed settings with a prior at hand."""

    def __init__(self, settings: RunSettings, guidance: Guidance) -> None:
        self.settings = settings
        self.guidance = guidance

    def __call__(self, mesh: PreparedMesh, text: str, seed: int) -> BakedTexture:
        """One run; only prompt and seed differ between cases."""
        settings = replace(self.settings, optimize=replace(self.settings.optimize, seed=seed))
        run = start_optimization(mesh, Prompt(text=text), settings, self.guidance)
        for _ in run.steps():
            pass
        return run.scene.texture.bake()
