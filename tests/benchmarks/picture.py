# SPDX-License-Identifier: Apache-2.0
"""How near `pgc image` comes to objects of which it is given one picture, under an oracle of Zero123's kind.

    python -m tests.benchmarks.picture --work out/picture --out out/picture.json [--quick] [--pictures FOLDER]

The oracle knows the object. As Zero123 it is told a picture and how the camera moved from there (four numbers, by the
published convention), and renders what is to be seen from that place; it reads no pose of ours. Beside it the two
halves alone: the picture's own view, and the teacher. Distances are in units of a mesh of extent 1.6; the picture goes
through the same file, cutting out and framing as a user's. Finished runs are kept in `--work`.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from pgc.cameras import Camera
from pgc.cameras.matrices import direction_from_angles
from pgc.distillation.sds import SDSConfig
from pgc.evaluation.cache import ResultCache, environment, write_json
from pgc.guidance.base import Conditions, NoisePrediction
from pgc.guidance.diffusion.zero123.camera import UNIT, relative_camera
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.images.cutout import read_cutout
from pgc.images.maps import encode_png
from pgc.optimization.config import Prompt
from pgc.shape.outcome import shape_sheet
from pgc.shape.picture import (
    DEFAULT_GEOMETRY,
    DISTANCE,
    FOCAL,
    SHARE,
    PictureOfObject,
    ball,
    picture_settings,
    reference_view,
)
from pgc.shape.prepared import PreparedShape, prepare_shape
from pgc.shape.rendering.moving_mesh import MovingMesh
from pgc.shape.rendering.renderer import RayRenderer
from pgc.whole_files import write_bytes
from tests.benchmarks.shape import differences, known_shape

__all__ = ["HALVES", "OBJECTS", "PictureBenchmark", "ViewOracle", "known_object", "photograph", "run_one"]

OBJECTS = ("box", "bumps")
HALVES = ("both", "teacher alone", "picture alone")
_ELEVATION = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureBenchmark:
    """What is run."""

    steps: int = 100
    views: int = 2
    resolution: int = 72
    seeds: int = 3
    cubes: int = 20


class ViewOracle(OracleGuidance):
    """An oracle that is told what Zero123 is told: a picture, and the camera's way from there."""

    sees_reference_view = True

    def __init__(self, known: MovingMesh, size: int, *, turns: float = 1.0, speaks: bool = True) -> None:
        """`turns` -1: it takes azimuths the other way round. `speaks`: without, it agrees with whatever it sees."""
        super().__init__(OracleConfig(image_size=size), torch.device("cpu"))
        self.known, self.turns, self.speaks = known, turns, speaks
        self.renderer = RayRenderer("cpu")
        self._last: Tensor | None = None

    def encode_image(
        self, image: Float[Tensor, "b 3 h w"], *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b k m n"]:
        """Encodes as the oracle, and remembers it."""
        latents = super().encode_image(image, generator=generator)
        self._last = latents.detach()
        return latents

    def predict_noise(
        self, noisy_latents: Float[Tensor, "b k m n"], timestep: Int[Tensor, " b"], conditions: Conditions
    ) -> NoisePrediction:
        """Predicts the noise on pictures of the known object from where the camera went."""
        assert conditions.camera_to_world is not None
        assert conditions.reference_to_world is not None
        assert conditions.reference is not None
        if not self.speaks:
            assert self._last is not None
            truth = self._last * 0.5 + 0.5
        else:
            told = relative_camera(conditions.camera_to_world, conditions.reference_to_world)
            truth = self.pictures(told.double().numpy())
        return super().predict_noise(noisy_latents, timestep, replace(conditions, truth_image=truth))

    @torch.no_grad()
    def pictures(self, told: Float[np.ndarray, "b 4"]) -> Float[Tensor, "b 3 s s"]:
        """Renders what is seen after (Δθ, sin Δφ, cos Δφ, Δr), from the place where the picture was taken."""
        cameras = []
        for polar, sine, cosine, farther in told:
            theta = math.pi / 2 - math.radians(_ELEVATION) + polar
            phi = -math.pi / 2 + self.turns * math.atan2(sine, cosine)
            r = DISTANCE + UNIT * farther
            place = (
                r * math.sin(theta) * math.cos(phi),
                r * math.sin(theta) * math.sin(phi),
                r * math.cos(theta),
            )
            cameras.append(Camera.look_at(place, focal=FOCAL))
        return _seen(self.known, cameras, self.image_size, self.renderer)[:, :3]


def known_object(name: str) -> MovingMesh:
    """Makes an object whose colours a place decides, as large as its picture is framed: how large the thing of a
    picture is nobody can say, and the oracle must not say otherwise."""
    made = known_shape(name)
    points = np.array(made.vertices)
    points -= (points.min(axis=0) + points.max(axis=0)) / 2
    points *= UNIT / np.ptp(points, axis=0).max()
    camera = _camera()
    for _ in range(3):
        points *= 2.0 * SHARE / np.ptp(camera.project(points)[:, :2], axis=0).max()
    positions = torch.tensor(points, dtype=torch.float32)
    return MovingMesh(
        positions=positions, faces=torch.tensor(made.faces).long(), colors=(0.5 + 0.5 * positions).clamp(0.0, 1.0)
    )


def _seen(known: MovingMesh, cameras: list[Camera], side: int, renderer: RayRenderer) -> Float[Tensor, "b 4 s s"]:
    """Colours on white, and what is covered."""
    sight = renderer.look(known, cameras, (side, side))
    covered = sight.gbuffer.mask.to(sight.color)
    return sight.antialias(torch.cat([sight.color * covered + 1.0 - covered, covered], dim=1)).clamp(0.0, 1.0)


def _camera() -> Camera:
    """Where the picture is taken from."""
    x, y, z = (DISTANCE * np.array(direction_from_angles(-math.pi / 2, math.radians(_ELEVATION)))).tolist()
    return Camera.look_at((x, y, z), focal=FOCAL)


@torch.no_grad()
def photograph(known: MovingMesh, path: Path, side: int = 256) -> None:
    """Writes a picture of an object, on white, as a user has it."""
    image = _seen(known, [_camera()], side, RayRenderer("cpu"))
    write_bytes(path, encode_png((image[0, :3] * 255.0 + 0.5).floor().to(torch.uint8)))


def run_one(
    benchmark: PictureBenchmark, name: str, half: str, seed: int, folder: Path, *, turns: float = 1.0
) -> tuple[dict[str, Any], PreparedShape]:
    """Runs one case; returns its scores and the run."""
    known = known_object(name)
    path = folder / f"{name}.png"
    photograph(known, path)
    settings = picture_settings(replace(DEFAULT_GEOMETRY, cubes=benchmark.cubes), Zero123Spec())
    optimize = replace(
        settings.optimize,
        steps=benchmark.steps,
        views=benchmark.views,
        resolution=benchmark.resolution,
        seed=seed,
        learning_rate=0.02,
        # The oracle is exact: guidance changes nothing, and timesteps only the scale.
        distillation=SDSConfig(guidance_scale=1.0),
    )
    config = PictureOfObject(elevation_deg=_ELEVATION)
    if half == "teacher alone":
        config = replace(config, color_weight=0.0, mask_weight=0.0)
    oracle = ViewOracle(known, benchmark.resolution, turns=turns, speaks=half != "picture alone")
    run = prepare_shape(
        ball(3),
        oracle,
        Prompt(text=""),
        replace(settings, optimize=optimize),
        reference_view=reference_view(read_cutout(path), benchmark.resolution, config),
    )
    truth = _drawn(known)
    before = differences(_drawn(run.scene.geometry.mesh()), truth)
    for _ in run.loop.steps():
        pass
    after = differences(_drawn(run.scene.geometry.mesh()), truth)
    return {"object": name, "half": half, "seed": seed, "before": before, "after": after}, run


@torch.no_grad()
def _drawn(mesh: MovingMesh) -> trimesh.Trimesh:
    positions = mesh.positions.detach().numpy().astype(np.float64)
    return trimesh.Trimesh(positions, mesh.faces.numpy(), process=False)


def main() -> None:
    """Runs what is missing, and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, help="folder for pictures of each case of the first seed")
    parser.add_argument("--quick", action="store_true", help="one object and seed, few steps")
    given = parser.parse_args()
    benchmark, objects = PictureBenchmark(), OBJECTS
    if given.quick:
        benchmark, objects = replace(benchmark, steps=20, seeds=1), OBJECTS[:1]
    cases = [(name, half, seed) for seed in range(benchmark.seeds) for name in objects for half in HALVES]
    sys.stderr.write(f"{len(cases)} runs of {benchmark.steps} steps at {benchmark.resolution}² pixels.\n")
    configuration = {"format": 1, **asdict(benchmark)}
    cache = ResultCache(given.work, configuration)
    rows: list[dict[str, Any]] = []
    for name, half, seed in cases:
        part = f"{name}-{half.replace(' ', '-')}-{seed}"
        row = cache.get(part)
        if row is None:
            row, run = run_one(benchmark, name, half, seed, given.work)
            cache.put(part, row)
            if given.pictures is not None and seed == 0:
                write_bytes(given.pictures / f"{part}.png", encode_png(shape_sheet(run.scene)))
        rows.append(row)
        write_json(given.out, {"environment": environment(), "configuration": configuration, "rows": rows})


if __name__ == "__main__":
    main()
