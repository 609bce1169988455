# SPDX-License-Identifier: Apache-2.0
"""One case by one method: a run, what the judge sees of it, how speckled it is, and what regulation did."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from pgc.demo.config import DemoConfig
from pgc.errors import ConfigError
from pgc.evaluation.cache import ResultCache, file_hash, folder_hash
from pgc.evaluation.judge.judge import JUDGE_FILE, Judge, judge_input
from pgc.evaluation.measures.scores import sha256_of_maps
from pgc.evaluation.measures.speckle import chroma_noise_by_scale
from pgc.evaluation.meshes import judge_meshes
from pgc.evaluation.methods.config import TUNING_MESHES, TUNING_SEED, Method, TuningCase
from pgc.evaluation.pictures import MeshViews, contact_sheet, to_bytes
from pgc.guidance.base import Guidance
from pgc.guidance.diffusion.pocket import pocket_weights
from pgc.guidance.specs import PocketSpec
from pgc.mesh import PreparedMesh, prepare_mesh
from pgc.optimization.config import Prompt
from pgc.optimization.loop import Optimization
from pgc.runs.prepared import start_optimization
from pgc.runs.report import plain
from pgc.runs.settings.presets import RunSettings
from pgc.whole_files import write_picture

__all__ = ["MethodSuite", "demo_prior", "judged"]

_VIEW = 128


def judged(
    judge: Judge, image: Float[Tensor, "b 3 h w"], mask: Bool[Tensor, "b 1 h w"], case: TuningCase
) -> dict[str, float]:
    """Returns the judge's mean probability, over the views, of the colour and of the material that a prompt names."""
    color, material = judge.probabilities(judge_input(image, mask))
    return {
        "color": float(color[:, judge.colors.index(case.color)].mean()),
        "material": float(material[:, judge.materials.index(case.material)].mean()),
    }


def demo_prior(steps: int, work: Path) -> tuple[PocketSpec, RunSettings, ResultCache]:
    """Returns the demo's prior, its settings at so many steps, and the cache of what is judged of them.

    Raises:
        ConfigError: the demo's prior is another.
    """
    spec, settings = DemoConfig().resolved()
    if not isinstance(spec, PocketSpec):
        raise ConfigError(f"The demo's prior is {type(spec).__name__}; this evaluation is of the built-in prior.")
    settings = replace(settings, optimize=replace(settings.optimize, steps=steps))
    configuration = {
        "format": 1,
        "settings": asdict(settings),
        "weights": folder_hash(pocket_weights()),
        "judge": file_hash(JUDGE_FILE),
        "tuning_seed": TUNING_SEED,
    }
    return spec, settings, ResultCache(work, configuration)


class MethodSuite:
    """Runs cases by methods; what the cache holds is not run again."""

    def __init__(self, settings: RunSettings, guidance: Guidance, judge: Judge, cache: ResultCache) -> None:
        self.settings = settings
        self.guidance = guidance
        self.judge = judge
        self.cache = cache
        self._meshes: dict[int, tuple[PreparedMesh, MeshViews]] = {}
        self._warm: tuple[object, dict[str, Tensor], dict[str, Any]] | None = None
        """The newest warm start: what it is of, and the state after it."""

    @staticmethod
    def part(method: Method, case: TuningCase) -> str:
        """Returns the name under which the cache holds a run."""
        return f"{method.name}--{case.index:02d}"

    def score(self, method: Method, case: TuningCase) -> dict[str, Any]:
        """Returns a run's row. Keys: name, method, case, color, material, speckle, regulation, sha256, seconds."""
        part = self.part(method, case)
        known = self.cache.get(part)
        if known is not None:
            return known
        mesh, views = self._mesh(case.mesh)
        start = time.perf_counter()
        run = self._begun(mesh, method, case)
        for _ in run.steps():
            pass
        texture = run.scene.texture.bake()
        image = views.render(texture)
        row = {
            "name": part,
            "method": method.name,
            "case": asdict(case),
            **judged(self.judge, image, views.mask, case),
            "speckle": float(chroma_noise_by_scale(image, views.mask, (1,))[1].mean()),
            "regulation": plain(run.regulation_summary()),
            "sha256": sha256_of_maps(texture.maps),
            "seconds": time.perf_counter() - start,
        }
        write_picture(self._picture(part), contact_sheet([list(to_bytes(image))], [part]), quality=80)
        self.cache.put(part, row)
        return row

    def _begun(self, mesh: PreparedMesh, method: Method, case: TuningCase) -> Optimization:
        """A run that has its warm start behind it. Methods differ after it only, so that a case has one for all."""
        optimize = replace(method.optimize, seed=case.seed)
        run = start_optimization(
            mesh, Prompt(text=case.prompt), replace(self.settings, optimize=optimize), self.guidance
        )
        of = (case, optimize.warm_start)
        if not optimize.warm_steps:
            return run
        if self._warm is None or self._warm[0] != of:
            while run.step < optimize.warm_steps:
                run.advance()
            tensors, header = run.state_dict()
            self._warm = (of, {name: tensor.clone() for name, tensor in tensors.items()}, header)
        _, tensors, header = self._warm
        run.load_state_dict(
            {name: tensor.clone() for name, tensor in tensors.items()}, {**header, "config": optimize.fingerprint()}
        )
        return run

    def _picture(self, part: str) -> Path:
        return self.cache.folder / f"{part}.webp"

    def _mesh(self, index: int) -> tuple[PreparedMesh, MeshViews]:
        if index not in self._meshes:
            mesh = prepare_mesh(judge_meshes(TUNING_MESHES, TUNING_SEED)[index])
            self._meshes[index] = (mesh, MeshViews(mesh.triangles, _VIEW))
        return self._meshes[index]
