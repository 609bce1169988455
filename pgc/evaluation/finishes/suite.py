# SPDX-License-Identifier: Apache-2.0
"""`pgc eval finishes`: do words of metal and gloss come out as such maps, on meshes that the prior has never seen?

Four prompts name the four corners of metallic and roughness, as far as real substances have them. For each, on each
of the four evaluation meshes, base colour, roughness and metallic are distilled from the prior under light that
changes every step, and the means of both scalar maps over the surface must lie in the right half.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from pgc.evaluation.cache import ResultCache
from pgc.evaluation.materials.judge import texel_area
from pgc.evaluation.meshes import EVALUATION_MESHES, EvaluationMeshName, evaluation_mesh
from pgc.evaluation.pictures import MeshViews, to_bytes
from pgc.evaluation.prior_runs import Texturize
from pgc.export.material import ExportConfig, export_material
from pgc.lighting.environments import eyes_of
from pgc.mesh import PreparedMesh, prepare_mesh
from pgc.rendering.compositing import composite
from pgc.rendering.environment import studio
from pgc.rendering.light import Light
from pgc.rendering.pbr_shading import pbr
from pgc.rendering.prefilter import prefilter
from pgc.rendering.raster.gbuffer import surface_points
from pgc.texture.field import BakedTexture
from pgc.texture.finished_texture import FinishedTexture
from pgc.whole_files import write_picture

__all__ = [
    "FINISH_PROMPTS",
    "FinishCase",
    "FinishPrompt",
    "FinishSuite",
    "finish_cases",
    "finish_verdict",
    "mean_over",
    "summarize_finishes",
]

_HALF = 0.5
_STRIP = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishPrompt:
    """What is asked, and on which side of one half both means belong."""

    text: str
    metal: bool
    smooth: bool


FINISH_PROMPTS = (
    FinishPrompt(text="polished gold", metal=True, smooth=True),
    # Rust is an oxide, no metal, and covers most of what is called rusty.
    FinishPrompt(text="rusty iron", metal=False, smooth=False),
    FinishPrompt(text="matte blue plastic", metal=False, smooth=False),
    FinishPrompt(text="wet cobblestone", metal=False, smooth=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishCase:
    """One run of the suite: a prompt on a mesh."""

    index: int
    prompt: FinishPrompt
    mesh: EvaluationMeshName
    seed: int


def finish_cases() -> tuple[FinishCase, ...]:
    """Returns every prompt on every mesh; the first four are all prompts, each on another mesh."""
    count = len(FINISH_PROMPTS)
    return tuple(
        FinishCase(
            index=turn * count + at,
            prompt=prompt,
            mesh=EVALUATION_MESHES[(at + turn) % len(EVALUATION_MESHES)],
            seed=3000 + turn * count + at,
        )
        for turn in range(len(EVALUATION_MESHES))
        for at, prompt in enumerate(FINISH_PROMPTS)
    )


def mean_over(image: Float[Tensor, "1 s s"], area: Float[Tensor, "s s"]) -> float:
    """Returns the mean of a map over the surface: every texel counts by the surface under it."""
    return float((image[0].double() * area).sum() / area.sum())


def finish_verdict(prompt: FinishPrompt, metallic: float, roughness: float) -> dict[str, bool]:
    """Says whether each mean lies in the half that the prompt asks for; one half itself is in neither."""
    return {
        "metallic": metallic > _HALF if prompt.metal else metallic < _HALF,
        "roughness": roughness < _HALF if prompt.smooth else roughness > _HALF,
    }


class FinishSuite:
    """Cases scored one by one; what the cache holds is not made again."""

    def __init__(self, texturize: Texturize, cache: ResultCache, view_size: int = 256) -> None:
        self.texturize = texturize
        self.cache = cache
        self.view_size = view_size
        self._meshes: dict[EvaluationMeshName, PreparedMesh] = {}

    @staticmethod
    def part(case: FinishCase) -> str:
        """Returns the name under which a case is kept."""
        return f"{case.index:02d}"

    def score(self, case: FinishCase) -> dict[str, Any]:
        """Returns the means, verdict and seconds of a case, from the cache or made now."""
        known = self.cache.get(self.part(case))
        if known is not None:
            return known
        if case.mesh not in self._meshes:
            self._meshes[case.mesh] = prepare_mesh(evaluation_mesh(case.mesh))
        mesh = self._meshes[case.mesh]
        start = time.perf_counter()
        texture = self.texturize(mesh, case.prompt.text, case.seed)
        seconds = time.perf_counter() - start
        area = texel_area(mesh.triangles, texture.size)
        means = {name: mean_over(texture.maps[name][0], area) for name in ("metallic", "roughness")}
        color = texture.maps["base_color"][0]
        result = {
            "case": asdict(case),
            "means": means,
            "base_color": [mean_over(color[at : at + 1], area) for at in range(3)],
            "right": finish_verdict(case.prompt, means["metallic"], means["roughness"]),
            "seconds": seconds,
        }
        self._save_strip(mesh, texture, case)
        # For other renderers: tests/blender/finishes.py shows them in Cycles.
        export_material(self.cache.folder / self.part(case), mesh, texture, ExportConfig())
        self.cache.put(self.part(case), result)
        return result

    @torch.no_grad()
    def _save_strip(self, mesh: PreparedMesh, texture: BakedTexture, case: FinishCase) -> None:
        """Three views in a studio; then base colour, roughness and metallic of the first, unlit."""
        views = MeshViews(mesh.triangles, self.view_size)
        material = FinishedTexture(texture).sample(surface_points(views.gbuffer))
        light = Light(environment=prefilter(studio()))
        lit = pbr(views.gbuffer, material, light, eye=eyes_of(views.cameras))
        shown = [
            lit[:3],
            *(material[name][:1].expand(-1, 3, -1, -1) for name in ("base_color", "roughness", "metallic")),
        ]
        image = torch.cat(shown)
        coverage = views.gbuffer.coverage[[0, 1, 2, 0, 0, 0]]
        pictures = to_bytes(composite(image, coverage, image.new_full((len(image), 3, 1, 1), _HALF)))
        strip = np.concatenate([np.asarray(Image.fromarray(one).resize((_STRIP, _STRIP))) for one in pictures], axis=1)
        write_picture(self.cache.folder / f"{self.part(case)}.webp", Image.fromarray(strip), quality=88)


def summarize_finishes(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns, by prompt, the means over its meshes, and how many of its runs are right in both maps."""
    summary: dict[str, Any] = {}
    for prompt in dict.fromkeys(row["case"]["prompt"]["text"] for row in rows):
        own = [row for row in rows if row["case"]["prompt"]["text"] == prompt]
        summary[prompt] = {
            "runs": len(own),
            "right": sum(all(row["right"].values()) for row in own),
            "metallic": [round(row["means"]["metallic"], 4) for row in own],
            "roughness": [round(row["means"]["roughness"], 4) for row in own],
        }
    return summary
