# SPDX-License-Identifier: Apache-2.0
"""Volumes: how near a ball comes to known shapes under an oracle, and what the built-in model makes of ten prompts.

    python -m tests.benchmarks.volume --work out/volume --out out/volume.json [--quick] [--only oracle|words|prompts]

oracle: three shapes, three seeds, without noise and under heavy-tailed noise on the oracle's answer, with pixel-wise
clipping and without, by colour alone. Distances are in units of a mesh of extent 1.6. prompts: shape, colour and
material; the judge looks at the mesh with a texture of half the steps, and the volume's own shape is compared with all
shapes that a word can name, begun as the word says and, for the first three prompts, begun as a ball. Finished runs are
kept in `--work`; the same command goes on. words: whether the model's outlines depend on a word of shape at all.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import trimesh
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from pgc.cameras.sampling import SphereSamplerConfig
from pgc.distillation.sds import SDSConfig
from pgc.evaluation.cache import ResultCache, environment, rounded, write_json
from pgc.evaluation.judge.judge import load_judge
from pgc.evaluation.views import fixed_views
from pgc.guidance.base import Guidance
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.mesh import load_mesh, prepare_mesh
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.pocket import weights_folder
from pgc.pocket.sample import load_pipeline, sample
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.runs.report import plain
from pgc.runs.settings.choices import RunChoices
from pgc.shape.rendering.renderer import RayRenderer
from pgc.volume.finish import TextureStage
from pgc.volume.light.penalties import VolumePenaltyConfig
from pgc.volume.prepared import PreparedVolume, prepare_volume
from pgc.volume.runner import VolumeHooks, VolumeRequest, imagine
from pgc.volume.settings import VolumeSettings, volume_settings
from pgc.volume.start import STARTS, BallStart, MeshStart, named_in, start_distances, start_named
from pgc.volume.surface import volume_surface
from pgc.volume.views import KnownShape
from pgc.volume.volume import Volume
from tests.benchmarks.shape import CONDITIONS, TailedOracle, differences, known_mesh, known_shape

__all__ = ["PROMPTS", "SHAPES", "VolumeBenchmark", "begin_oracle", "likeness", "oracle_row"]

SHAPES = ("box", "torus", "vase")
PROMPTS = (
    ("a red vase", "red", "plain"),
    ("a blue checkered cube", "blue", "checker"),
    ("a green striped torus", "green", "stripes"),
    ("a yellow polka dot mug", "yellow", "dots"),
    ("a brown wooden bowl", "brown", "wood"),
    ("a white marble cone", "white", "marble"),
    ("a red brick pyramid", "red", "brick"),
    ("a purple fabric ball", "purple", "fabric"),
    ("a teal scaly egg", "teal", "scales"),
    ("an orange rusty cylinder", "orange", "rust"),
)
"""Prompt, and the judge's names of what it asks for."""
_DRAFT = TextureStage(choices=RunChoices(preset="draft"))
_FROM_BALLS = 3
"""Prompts whose volumes are learnt once more from a ball."""
_WORDS = ("vase", "cone", "torus", "cube")
_PICTURES = 4
_GRID = 33
_MESH_EXTENT, _NAMED_EXTENT = 0.8, 0.7
"""How far a mesh and a named shape reach from the middle as starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeBenchmark:
    """What is run."""

    steps: int = 100
    views: int = 2
    resolution: int = 48
    seeds: int = 3
    learning_rate: float = 0.1
    entropy: float = 0.01


def begin_oracle(benchmark: VolumeBenchmark, shape: str, condition: str, seed: int) -> PreparedVolume:
    """Prepares one case."""
    scale, regulation = CONDITIONS[condition]
    settings = VolumeSettings(
        start=BallStart(radius=0.5),
        cameras=SphereSamplerConfig(focal=(0.9, 0.9), distance=(2.4, 2.4)),
        penalties=VolumePenaltyConfig(entropy=benchmark.entropy),
        optimize=OptimizeConfig(
            steps=benchmark.steps,
            views=benchmark.views,
            resolution=benchmark.resolution,
            seed=seed,
            learning_rate=benchmark.learning_rate,
            epsilon=1e-8,
            distillation=SDSConfig(guidance_scale=1.0),
            regulation=regulation,
        ),
    )
    known = KnownShape(mesh=known_mesh(known_shape(shape)), renderer=RayRenderer("cpu"))
    return prepare_volume(TailedOracle(benchmark.resolution, scale), Prompt(text=""), settings, known=known)


def oracle_row(benchmark: VolumeBenchmark, shape: str, condition: str, seed: int) -> dict[str, Any]:
    """Runs one case; returns its scores."""
    run, known = begin_oracle(benchmark, shape, condition, seed), known_shape(shape)
    before, began = differences(_drawn(run.scene.volume), known), time.process_time()
    for _ in run.loop.steps():
        pass
    seconds = time.process_time() - began
    mesh = _drawn(run.scene.volume)
    return {
        "shape": shape,
        "condition": condition,
        "seed": seed,
        "before": before,
        "after": differences(mesh, known),
        "watertight": bool(mesh.is_watertight),
        "processor_seconds_a_step": seconds / benchmark.steps,
        "clipped_fraction": run.loop.regulation_summary()["clipped_fraction"],
    }


def _drawn(volume: Volume) -> trimesh.Trimesh:
    surface = volume_surface(volume, VolumeSettings().surface)
    return trimesh.Trimesh(surface.positions.numpy().astype(np.float64), surface.faces.numpy(), process=False)


@torch.no_grad()
def likeness(path: Path) -> dict[str, float]:
    """Measures the intersection over union of a closed mesh with each shape that a word can name; all are centred and
    reach as far as each other along their longest sides."""
    line = torch.linspace(-0.75, 0.75, _GRID)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    places = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
    own = _inside(start_distances(MeshStart(path=path)), places * (_MESH_EXTENT / _NAMED_EXTENT))
    found = {}
    for name in STARTS[1:]:
        there = _inside(start_distances(start_named(name)), places)
        found[name] = float((own & there).sum()) / max(float((own | there).sum()), 1.0)
    return found


def _inside(distances: Float[Tensor, "s s s"], places: Float[Tensor, "n 3"]) -> Tensor:
    return F.grid_sample(distances[None, None], places[None, None, None], align_corners=True).reshape(-1) < 0.0


def prompt_row(case: tuple[str, str, str], guidance: Guidance, folder: Path) -> dict[str, Any]:
    """Runs one prompt to its textured mesh, and its volume once more from a ball; returns what judge and shapes say."""
    prompt, color, material = case
    began, spec = time.process_time(), PocketSpec()
    settings = volume_settings(spec, prompt)
    request = VolumeRequest(prompt=Prompt(text=prompt), settings=settings, prior=spec, texture=_DRAFT)
    seconds: dict[str, float] = {}

    def entered(name: str) -> None:
        """Notes when a stage begins."""
        seconds[name] = time.process_time()

    imagine(request, guidance, folder, VolumeHooks(on_stage=entered))
    ended = time.process_time()
    verdict = load_judge().verdict(*_pictures(folder))
    made = {"word": folder / "volume.glb"}
    if case in PROMPTS[:_FROM_BALLS]:
        again = replace(request, settings=replace(settings, start=BallStart()), texture=None)
        (folder / "ball").mkdir(exist_ok=True)
        imagine(again, guidance, folder / "ball", VolumeHooks())
        made["ball"] = folder / "ball" / "volume.glb"
    shapes = {}
    for start, path in made.items():
        scores = likeness(path)
        shapes[start] = {"nearest": max(scores, key=scores.__getitem__), "scores": scores}
    return {
        "prompt": prompt,
        "asked": {"shape": named_in(prompt), "color": color, "material": material},
        "judge": {"color": verdict.color, "material": verdict.material},
        "shapes": shapes,
        "processor_seconds": {
            "volume": seconds["mesh"] - began, "mesh": seconds["texture"] - seconds["mesh"],
            "texture": ended - seconds["texture"],
        },
    }  # fmt: skip


def _pictures(folder: Path) -> tuple[Float[Tensor, "b 3 h w"], Tensor]:
    """The textured mesh without light, from the fixed views."""
    mesh = prepare_mesh(load_mesh(folder / "volume.glb"))
    gbuffer = WarpRasterizer(mesh.triangles, device="cpu").render(fixed_views(), (192, 192))
    texture = torch.from_numpy(np.array(Image.open(folder / "texture" / "base_color.png").convert("RGB")))
    texture = texture.movedim(2, 0).float() / 255.0
    uv = gbuffer.uv.movedim(1, -1) * torch.tensor([2.0, -2.0]) + torch.tensor([-1.0, 1.0])
    images = F.grid_sample(texture[None].expand(len(uv), -1, -1, -1), uv, align_corners=False)
    return images, gbuffer.mask


def word_overlaps() -> dict[str, list[float]]:
    """Measures how far the built-in model's outlines depend on a word of shape, where it is told no depth: the
    intersection over union of red areas in its pictures of "a red vase", "a red cone" and so on, between words that
    begin in the same noise, and between pictures of one word that begin in other noise."""
    pipeline, areas = load_pipeline(weights_folder()), []
    for word in _WORDS:
        pictures = sample(
            pipeline, [f"a red {word}, flat lighting"] * _PICTURES, torch.zeros(_PICTURES, 3, 128, 128), 5
        )
        red, green, blue = np.moveaxis(pictures.astype(np.int64), -1, 0)
        areas.append((red - green > 90) & (red - blue > 60))
    pairs = [(first, second) for first in range(len(_WORDS)) for second in range(first)]
    noises = [(first, second) for first in range(_PICTURES) for second in range(first)]
    return {
        "same noise": [_overlap(areas[a][at], areas[b][at]) for a, b in pairs for at in range(_PICTURES)],
        "other noise": [_overlap(area[a], area[b]) for area in areas for a, b in noises],
    }


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / max((first | second).sum(), 1))


def main() -> None:
    """Runs what is missing, and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="one shape and seed, few steps, one prompt")
    parser.add_argument("--only", choices=("oracle", "words", "prompts"))
    given = parser.parse_args()
    benchmark, shapes, prompts = VolumeBenchmark(), SHAPES, PROMPTS
    if given.quick:
        benchmark, shapes, prompts = replace(benchmark, steps=30, seeds=1), SHAPES[:1], PROMPTS[:1]
    cases = [
        (shape, condition, seed) for seed in range(benchmark.seeds) for shape in shapes for condition in CONDITIONS
    ]
    cases = cases if given.only in (None, "oracle") else []
    prompts = prompts if given.only in (None, "prompts") else ()
    sys.stderr.write(
        f"{len(cases)} runs under an oracle, about {len(cases) * benchmark.steps * 0.15 / 60:.0f} processor minutes; "
        f"{len(prompts)} prompts, about {len(prompts) * 1.5:.0f} more.\n"
    )
    preset = volume_settings(PocketSpec(), "")
    configuration = {"format": 1, **asdict(benchmark), "preset": plain(preset), "texture": plain(_DRAFT)}
    cache = ResultCache(given.work, configuration)
    rows: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    words: dict[str, list[float]] = {}

    def write_result() -> None:
        """Writes what there is by now."""
        result = {"environment": environment(), "configuration": configuration}
        write_json(given.out, rounded({**result, "rows": rows, "words": words, "prompts": told}))

    for shape, condition, seed in cases:
        part = f"{shape}-{condition.replace(', ', '-').replace(' ', '-')}-{seed}"
        if (row := cache.get(part)) is None:
            row = oracle_row(benchmark, shape, condition, seed)
            cache.put(part, row)
        rows.append(row)
        write_result()
    if given.only in (None, "words"):
        words = cache.get("words") or word_overlaps()
        cache.put("words", words)
        write_result()
    guidance = load_guidance(PocketSpec(), torch.device("cpu")) if prompts else None
    for case in prompts:
        part = case[0].replace(" ", "-")
        if (row := cache.get(part)) is None:
            assert guidance is not None
            folder = cache.folder / part
            folder.mkdir(exist_ok=True)
            row = prompt_row(case, guidance, folder)
            cache.put(part, row)
        told.append(row)
        write_result()


if __name__ == "__main__":
    main()
