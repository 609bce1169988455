# SPDX-License-Identifier: Apache-2.0
"""How far the split sum is from the integral it stands for: python -m tests.benchmarks.split_sum [OUT.json]

A ball under twelve environments, at seven roughnesses, in six materials, against `tests.pgc.rendering.monte_carlo`.
Errors are RMSE in percent: "picture" of sRGB values after the tone curve (full scale 100), "radiance" of linear
radiance, relative to its own root mean square. "plain" is the split sum with one lobe around the mirrored view.
"""

import dataclasses
import itertools
import json
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from pgc.rendering.brdf import MIN_COSINE
from pgc.rendering.environment import (
    Environment,
    PrefilteredEnvironment,
    colored_key,
    overcast,
    prefilter,
    random_environment,
    sky,
    studio,
)
from pgc.rendering.light import Light
from pgc.rendering.pbr_shading import SurfaceSamples, split_sum
from pgc.rendering.tone_curve import picture_from_radiance
from tests.pgc.rendering.monte_carlo import integrate, radiance_of

ROUGHNESSES = (0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)
MATERIALS: tuple[tuple[tuple[float, float, float], float], ...] = (
    ((0.9, 0.6, 0.3), 1.0),
    ((1.0, 1.0, 1.0), 1.0),
    ((0.4, 0.4, 0.45), 1.0),
    ((0.8, 0.2, 0.1), 0.0),
    ((0.05, 0.05, 0.05), 0.0),
    ((0.7, 0.7, 0.7), 0.5),
)
"""Linear base colour, metallic."""
COUNT = 256
SIZE = 28


def environments() -> list[Environment]:
    """The four named ones and eight drawn ones."""
    drawn = [random_environment(torch.Generator().manual_seed(seed)) for seed in range(8)]
    return [studio(), sky(), overcast(), colored_key(), *drawn]


def ball(roughness: float, color: tuple[float, float, float], metallic: float) -> SurfaceSamples:
    """The visible half of a ball, evenly over its disc, seen from -Y and far away."""
    step = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    z, x = torch.meshgrid(-step, step, indexing="ij")
    inside = x * x + z * z < 0.998
    x, z = x[inside], z[inside]
    normal = torch.stack([x, -(1 - x * x - z * z).sqrt(), z], dim=1)
    view = F.normalize(torch.tensor([0.0, -60.0, 0.0]) - normal, dim=1)
    points = len(normal)
    return SurfaceSamples(
        view_index=torch.zeros(points, dtype=torch.long),
        normal=normal,
        view=view,
        cosine=(normal * view).sum(1, keepdim=True).clamp(MIN_COSINE, 1.0),
        base_color=torch.tensor(color).expand(points, 3),
        roughness=torch.full((points, 1), roughness),
        metallic=torch.full((points, 1), metallic),
        occlusion=torch.ones(points, 1),
    )


def plain(environment: PrefilteredEnvironment) -> PrefilteredEnvironment:
    """The same light, with one lobe of the surface's own roughness around the mirrored view."""
    _, rows, columns = environment.lobe_table.shape
    one, roughness = torch.ones(rows, columns), torch.linspace(0, 1, rows)[:, None].expand(rows, columns)
    return dataclasses.replace(environment, lobe_table=torch.stack([one, one, 0 * one, roughness]))


def errors(found: torch.Tensor, expected: torch.Tensor) -> tuple[float, float]:
    """Mean squares of both errors (see the module)."""
    picture = (picture_from_radiance(found) - picture_from_radiance(expected)).square().mean()
    return float(picture), float((found - expected).square().mean() / expected.square().mean())


def measure() -> dict[str, object]:
    """All cases; prints a line an environment."""
    squares: dict[str, dict[float, list[tuple[float, float]]]] = {"plain": {}, "lobes": {}}
    worst: dict[str, object] = {"picture": 0.0}
    for environment in environments():
        start, filtered = time.perf_counter(), prefilter(environment)
        kinds = {"plain": Light(environment=plain(filtered)), "lobes": Light(environment=filtered)}
        for roughness in ROUGHNESSES:
            generator = torch.Generator().manual_seed(1)
            terms = integrate(ball(roughness, (1.0, 1.0, 1.0), 1.0), environment, count=COUNT, generator=generator)
            for (color, metallic), kind in itertools.product(MATERIALS, kinds):
                samples = ball(roughness, color, metallic)
                pair = errors(split_sum(samples, kinds[kind]), radiance_of(terms, samples))
                squares[kind].setdefault(roughness, []).append(pair)
                percent = round(100 * pair[0] ** 0.5, 2)
                if kind == "lobes" and percent > worst["picture"]:
                    worst = {"picture": percent, "environment": environment.name, "roughness": roughness}
                    worst |= {"base_color": color, "metallic": metallic}
        sys.stdout.write(f"{environment.name}: {time.perf_counter() - start:.0f} s\n")
        sys.stdout.flush()
    table = {
        kind: {
            str(roughness): {
                name: round(100 * (sum(pair[at] for pair in pairs) / len(pairs)) ** 0.5, 2)
                for at, name in enumerate(("picture", "radiance"))
            }
            for roughness, pairs in by_roughness.items()
        }
        for kind, by_roughness in squares.items()
    }
    everything = {
        kind: round(100 * (sum(pair[0] for pairs in rows.values() for pair in pairs) / _count(rows)) ** 0.5, 2)
        for kind, rows in squares.items()
    }
    return {"rmse_percent": table, "rmse_percent_of_all_pictures": everything, "worst_single_picture": worst}


def _count(rows: dict[float, list[tuple[float, float]]]) -> int:
    return sum(len(pairs) for pairs in rows.values())


def main() -> None:
    """Measures and writes the figures."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "results" / "split_sum.json"
    torch.set_num_threads(1)
    facts = {
        "what": "split sum against Monte Carlo on a ball; see tests/benchmarks/split_sum.py",
        "environments": len(environments()),
        "materials": len(MATERIALS),
        "directions_a_point": 3 * COUNT,
        **measure(),
    }
    out.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
