# SPDX-License-Identifier: Apache-2.0
"""The demo of two commits, by turns: how long each takes, and what the judge says of its textures.

    git worktree add ../before 3fd45287
    python -m tests.benchmarks.card.demo_pair --before ../before --after . --work DIR --out FILE [--rounds 2] [--quick]

The promise: the demo's three prompts at the same judge's score in half the time. Each side is `pgc demo --no-server` in
a checkout of its own, under the same Python, with the threads that it chooses itself. Sides change their order every
round, so that other work on the machine meets both; processor seconds are those of the whole tree of processes. Before
the first round each side takes a step that counts for nothing: it compiles what is kept for later runs. Finished runs
are kept in DIR. A round takes some 8 minutes on two idle cores. On a busy machine the threads of the earlier commit
spin at their barriers, and it does not come to an end: `--threads 1` gives both sides one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from pgc.evaluation.cache import ResultCache, environment, rounded, write_json

__all__ = ["PROMPTS", "SIDES", "environment_of", "order", "summary"]

SIDES = ("before", "after")
PROMPTS = {"bricks": ("red", "brick"), "checker": ("blue", "checker"), "camouflage": ("green", "camouflage")}
"""Each prompt's folder, with the colour and the material that it asks for."""
GOAL = 0.5
_VIEW = 256
_THREADS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY", "MKL_NUM_THREADS")


def environment_of(checkout: Path, present: Mapping[str, str], threads: int | None = None) -> dict[str, str]:
    """Returns the variables of a side: its own package, and as many threads as were asked for, or as it chooses."""
    bare = {name: value for name, value in present.items() if name not in _THREADS} | {"PYTHONPATH": str(checkout)}
    return bare if threads is None else bare | {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}


def order(round_number: int) -> tuple[str, ...]:
    """Returns who runs first in a round."""
    return SIDES if round_number % 2 == 0 else SIDES[::-1]


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns each side's medians and scores, and the ratio of its times, round by round."""
    sides = dict[str, dict[str, float]]()
    for side in SIDES:
        own = [row for row in rows if row["side"] == side]
        scores = [one for row in own for one in row["prompts"].values()]
        sides[side] = {
            "wall_s": median(row["wall_s"] for row in own),
            "processor_s": median(row["processor_s"] for row in own),
            "color": mean(one["color"] for one in scores),
            "material": mean(one["material"] for one in scores),
            "right": sum(one["color_right"] and one["material_right"] for one in scores),
            "judged": len(scores),
        }
    rounds = sorted({row["round"] for row in rows})
    found = {(row["round"], row["side"]): row for row in rows}
    ratios = {
        key: [found[number, "after"][key] / found[number, "before"][key] for number in rounds]
        for key in ("wall_s", "processor_s")
    }
    return {"rounds": len(rounds), "sides": sides, "ratios": ratios, "kept": median(ratios["wall_s"]) <= GOAL}


def _demo(checkout: Path, out: Path, threads: int | None) -> dict[str, float]:
    """Runs the demo. Raises CalledProcessError where it fails."""
    begun, used = time.perf_counter(), _children_s()
    _pgc(checkout, threads, "demo", "--no-server", "--out", str(out))
    return {"wall_s": time.perf_counter() - begun, "processor_s": _children_s() - used}


def _pgc(checkout: Path, threads: int | None, *arguments: str) -> None:
    command = [sys.executable, "-m", "pgc", *arguments, "--device", "cpu"]
    variables = environment_of(checkout, os.environ, threads)
    subprocess.run(command, cwd=checkout, env=variables, stdout=subprocess.DEVNULL, check=True)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _first_step(checkout: Path, out: Path, threads: int | None) -> None:
    mesh = str(checkout / "pgc" / "demo" / "teapot.obj")
    _pgc(checkout, threads, "texture", mesh, "--prompt", "a pot", "--steps", "1", "--out", str(out), "--overwrite")


def _judged(out: Path) -> dict[str, Any]:
    """What the judge says of a demo's textures: probability and answer for the words that were asked for."""
    import numpy as np
    import torch
    from PIL import Image

    from pgc.demo.assets import demo_mesh_path
    from pgc.evaluation.judge.judge import judge_input, load_judge
    from pgc.evaluation.pictures import MeshViews
    from pgc.mesh import load_mesh, prepare_mesh
    from pgc.texture.field import BakedTexture

    judge, views = load_judge(), MeshViews(prepare_mesh(load_mesh(demo_mesh_path())).triangles, _VIEW)
    rows = dict[str, Any]()
    for name, (color, material) in PROMPTS.items():
        pixels = np.asarray(Image.open(out / name / "base_color.png").convert("RGB"), dtype=np.float32) / 255.0
        picture = views.render(BakedTexture(maps={"base_color": [torch.from_numpy(pixels).permute(2, 0, 1)]}))
        colors, materials = judge.probabilities(judge_input(picture, views.mask))
        verdict = judge.verdict(picture, views.mask)
        rows[name] = {
            "color": float(colors[:, judge.colors.index(color)].mean()),
            "material": float(materials[:, judge.materials.index(material)].mean()),
            "color_right": verdict.color == color,
            "material_right": verdict.material == material,
        }
    return rows


def _commit(checkout: Path) -> str:
    said = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=checkout, capture_output=True, text=True)
    return said.stdout.strip()


def main() -> None:
    """Runs what is missing, and writes the result after every run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True, help="a checkout of the earlier commit")
    parser.add_argument("--after", type=Path, required=True, help="a checkout of the later one")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, help="of both sides; what each chooses where it is not given")
    parser.add_argument("--quick", action="store_true", help="one step a side, which shows that both run")
    given = parser.parse_args()
    checkouts = {"before": given.before.resolve(), "after": given.after.resolve()}
    commits = {side: _commit(checkout) for side, checkout in checkouts.items()}
    cache = ResultCache(
        given.work.resolve(), {"format": 1, "commits": commits, "prompts": list(PROMPTS), "threads": given.threads}
    )
    rows: list[dict[str, Any]] = []
    for side, checkout in checkouts.items():
        if not (cache.folder / f"first-{side}" / "run.json").is_file():
            _first_step(checkout, cache.folder / f"first-{side}", given.threads)
    for number in range(0 if given.quick else given.rounds):
        for side in order(number):
            part, out = f"round-{number}-{side}", cache.folder / f"demo-{number}-{side}"
            row = cache.get(part)
            if row is None:
                times = _demo(checkouts[side], out, given.threads)
                row = {"round": number, "side": side, **times, "prompts": _judged(out), "load": list(os.getloadavg())}
                cache.put(part, row)
            rows.append(row)
        found = {
            "environment": environment(),
            "commits": commits,
            "threads": given.threads,
            **summary(rows),
            "rows": rows,
        }
        write_json(given.out, rounded(json.loads(json.dumps(found)), 4))


if __name__ == "__main__":
    main()
