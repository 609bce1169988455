# SPDX-License-Identifier: Apache-2.0
"""`pgc eval prompts`: does a texture show what its prompt says, on meshes that the prior has never seen?

For every case the judge looks at six fixed views of (1) the distilled texture, (2) plain 2D samples of the prior
under the same depth, (3) the procedural material itself baked on the mesh, and (4) the untouched texture. So the
score stands between its ceilings (2, 3) and chance (4).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from pgc.cameras.view_names import FrontAxis, view_name, view_prompt
from pgc.errors import ConfigError
from pgc.evaluation.cache import ResultCache
from pgc.evaluation.ground_truth import bake_material, material_of
from pgc.evaluation.judge.judge import Judge
from pgc.evaluation.measures.speckle import chroma_noise_by_scale
from pgc.evaluation.measures.statistics import confusion_matrix, median, proportion
from pgc.evaluation.meshes import EvaluationMeshName, evaluation_mesh
from pgc.evaluation.pictures import MeshViews, to_bytes
from pgc.evaluation.prior_runs import Texturize
from pgc.evaluation.prompts.prior_samples import SamplingConfig, ddim_sample
from pgc.evaluation.prompts.prompts import PromptCase
from pgc.guidance.base import Conditions, Guidance, PromptEmbedding
from pgc.mesh import PreparedMesh, prepare_mesh
from pgc.randomness import generator_for
from pgc.texture.field import BakedTexture
from pgc.whole_files import write_picture

__all__ = ["KINDS", "Kind", "PromptSuite", "PromptSuiteConfig", "summarize"]

Kind = Literal["texture", "sample", "truth", "untrained"]
KINDS: tuple[Kind, ...] = ("texture", "sample", "truth", "untrained")

_STRIP = 128
_SPECKLE_SCALES = (1, 2)
"""Thin parts of a mesh have no whole 3x3 block at coarser ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSuiteConfig:
    """What the judge looks at. The settings of the runs themselves belong to whoever makes the textures."""

    view_size: int = 256
    truth_size: int = 512
    """Side of the ground-truth textures."""
    front_axis: FrontAxis = "-y"
    sampling: SamplingConfig = field(default_factory=SamplingConfig)

    def __post_init__(self) -> None:
        if self.view_size < 32:
            raise ConfigError(f"view_size is {self.view_size}; the judge needs 32 pixels or more.")


class PromptSuite:
    """Everything about the cases but how they are textured. Parts that the cache holds are not made again."""

    def __init__(
        self, config: PromptSuiteConfig, judge: Judge, guidance: Guidance, texturize: Texturize, cache: ResultCache
    ) -> None:
        self.config = config
        self.judge = judge
        self.guidance = guidance
        self.texturize = texturize
        self.cache = cache
        self._meshes: dict[EvaluationMeshName, PreparedMesh] = {}
        self._views: dict[EvaluationMeshName, MeshViews] = {}

    def score(self, kind: Kind, case: PromptCase) -> dict[str, Any]:
        """Returns one case's verdict, from the cache or made now. Keys: case, verdict, seconds, and for textures
        speckle."""
        part = f"{case.index:03d}-{kind}"
        known = self.cache.get(part)
        if known is not None:
            return known
        start = time.perf_counter()
        image, mask = self._pictures(kind, case)
        verdict = self.judge.verdict(image, mask)
        speckle = {str(k): float(v.mean()) for k, v in chroma_noise_by_scale(image, mask, _SPECKLE_SCALES).items()}
        result = {
            "case": asdict(case),
            "kind": kind,
            "verdict": asdict(verdict),
            "speckle": speckle,
            "seconds": time.perf_counter() - start,
        }
        self._save_strip(self.cache.folder / f"{part}.webp", image)
        self.cache.put(part, result)
        return result

    def _pictures(self, kind: Kind, case: PromptCase) -> tuple[Float[Tensor, "b 3 h w"], Bool[Tensor, "b 1 h w"]]:
        if kind == "sample":
            return self._samples(case)
        views = self.views(case.mesh)
        mesh = self.mesh(case.mesh)
        match kind:
            case "texture":
                texture = self.texturize(mesh, case.prompt, case.seed)
            case "truth":
                params = material_of(case.color, case.material, case.seed)
                texture = bake_material(mesh.triangles, params, self.config.truth_size, mesh.report.tiles)
            case "untrained":
                gray = torch.full((3, 64, 64), 0.5)
                texture = BakedTexture(maps={"base_color": [gray] * len(mesh.report.tiles)}, tiles=mesh.report.tiles)
        return views.render(texture), views.mask

    def _samples(self, case: PromptCase) -> tuple[Float[Tensor, "b 3 h w"], Bool[Tensor, "b 1 h w"]]:
        """One 2D sample a view, at the prior's own size, with the prompts that a run would use."""
        views = MeshViews(self.mesh(case.mesh).triangles, self.guidance.image_size)
        prompts = [view_prompt(case.prompt, view_name(c, self.config.front_axis)) for c in views.cameras]
        conditions = Conditions(
            prompt=self.guidance.encode_prompt(prompts),
            negative=PromptEmbedding.cat([self.guidance.encode_prompt([""], negative=True)] * len(prompts)),
            depth=views.gbuffer.depth.to(self.guidance.device),
            mask=views.gbuffer.mask.to(self.guidance.device),
        )
        with torch.no_grad():
            shape = self.guidance.encode_image(torch.zeros(1, 3, *views.gbuffer.depth.shape[-2:])).shape
        generator = generator_for(case.seed, 0, "prior-sample")
        noise = torch.randn((len(prompts), *shape[1:]), generator=generator)
        return ddim_sample(self.guidance, conditions, noise, self.config.sampling).cpu().float(), views.mask

    def mesh(self, name: EvaluationMeshName) -> PreparedMesh:
        """Returns the evaluation mesh, normalised."""
        if name not in self._meshes:
            self._meshes[name] = prepare_mesh(evaluation_mesh(name))
        return self._meshes[name]

    def views(self, name: EvaluationMeshName) -> MeshViews:
        """Returns the mesh's six views at `view_size`."""
        if name not in self._views:
            self._views[name] = MeshViews(self.mesh(name).triangles, self.config.view_size)
        return self._views[name]

    @staticmethod
    def _save_strip(path: Path, image: Float[Tensor, "b 3 h w"]) -> None:
        pictures = [Image.fromarray(p).resize((_STRIP, _STRIP), Image.Resampling.LANCZOS) for p in to_bytes(image)]
        strip = Image.new("RGB", (_STRIP * len(pictures), _STRIP))
        for at, picture in enumerate(pictures):
            strip.paste(picture, (at * _STRIP, 0))
        write_picture(path, strip, quality=85)


def summarize(results: Mapping[Kind, Sequence[dict[str, Any]]], judge: Judge) -> dict[str, Any]:
    """Returns accuracies with intervals, confusion matrices, failures and speckle, by kind of picture."""
    return {kind: _summary(rows, judge) for kind, rows in results.items() if rows}


def _summary(rows: Sequence[dict[str, Any]], judge: Judge) -> dict[str, Any]:
    answers: dict[str, Any] = {"n": len(rows), "seconds_median": median([row["seconds"] for row in rows])}
    for question, labels in (("color", judge.colors), ("material", judge.materials)):
        truth = [row["case"][question] for row in rows]
        said = [row["verdict"][question] for row in rows]
        single = [vote == row["case"][question] for row in rows for vote in row["verdict"][f"view_{question}s"]]
        answers[question] = {
            "accuracy": asdict(proportion([a == b for a, b in zip(truth, said, strict=True)])),
            # Views of one object are not independent, so a single view's share has no interval.
            "single_view_share": sum(single) / len(single),
            "labels": list(labels),
            "confusion": confusion_matrix(truth, said, labels),
            "by_mesh": _by_mesh(rows, question),
        }
    answers["failures"] = [_failure(row) for row in rows if _failed(row)]
    answers["speckle_median"] = {scale: median([row["speckle"][scale] for row in rows]) for scale in rows[0]["speckle"]}
    return answers


def _by_mesh(rows: Sequence[dict[str, Any]], question: str) -> dict[str, Any]:
    meshes = sorted({row["case"]["mesh"] for row in rows})
    return {
        mesh: asdict(
            proportion([r["case"][question] == r["verdict"][question] for r in rows if r["case"]["mesh"] == mesh])
        )
        for mesh in meshes
    }


def _failed(row: Mapping[str, Any]) -> bool:
    return any(row["case"][question] != row["verdict"][question] for question in ("color", "material"))


def _failure(row: Mapping[str, Any]) -> dict[str, Any]:
    verdict = row["verdict"]
    return {
        "index": row["case"]["index"],
        "prompt": row["case"]["prompt"],
        "mesh": row["case"]["mesh"],
        "said": f"{verdict['color']} {verdict['material']}",
        "view_colors": list(verdict["view_colors"]),
        "view_materials": list(verdict["view_materials"]),
    }
