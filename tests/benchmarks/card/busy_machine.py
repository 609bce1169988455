# SPDX-License-Identifier: Apache-2.0
"""A step of the built-in model alone, and beside two processes that never rest, with one thread of torch and with two.

    python -m tests.benchmarks.card.busy_machine --work DIR --out FILE [--rounds 6] [--steps 3] [--quick]

The promise: beside two busy processes a step takes 2.5 times as long as on an idle machine, at the most. All cases take
turns, round after round, and each round is kept in DIR, so that an interrupted measurement goes on there. A worker of
each number of threads is built once; it sleeps while it is not asked. Wall seconds mean what they say only where nobody
else is at work: `others` says, for each case, which share of the cores was taken by what does not belong to it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from pgc.evaluation.cache import ResultCache, environment, rounded, write_json

__all__ = ["BUDGET", "CASES", "Worker", "others", "summary"]

BUDGET = 2.5
_BUSY = 2
CASES: tuple[tuple[int, bool], ...] = ((1, False), (1, True), (2, False), (2, True))
"""Threads, and whether others are busy."""
_WORKER = """
import json, sys, time
from pgc.waiting_threads import let_threads_sleep
import os
let_threads_sleep(os.environ)
import torch
torch.set_num_threads(int(sys.argv[1]))
from tests.benchmarks.card.busy_machine import pocket_loop
loop = pocket_loop(int(sys.argv[2]))
loop.advance()
print("ready", flush=True)
for line in sys.stdin:
    for _ in range(int(line)):
        wall, processor = time.perf_counter(), time.process_time()
        loop.advance()
        took = {"wall_s": time.perf_counter() - wall, "processor_s": time.process_time() - processor}
        print(json.dumps(took), flush=True)
"""


def pocket_loop(resolution: int) -> Any:
    """Builds a run of the built-in model without an end, one view a step."""
    import torch

    from pgc.cameras.sampling import SphereCameraSampler, SphereSamplerConfig
    from pgc.evaluation.meshes import evaluation_mesh
    from pgc.guidance.specs import PocketSpec, load_guidance
    from pgc.mesh import prepare_mesh
    from pgc.optimization.config import OptimizeConfig, Prompt
    from pgc.optimization.loop import Optimization
    from pgc.optimization.scene import Scene
    from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
    from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig

    cpu = torch.device("cpu")
    triangles = prepare_mesh(evaluation_mesh("trefoil")).triangles
    scene = Scene(
        rasterizer=WarpRasterizer(triangles, device=cpu),
        texture=TexelPyramid(triangles, TexelPyramidConfig(texture_size=4 * resolution)),
        cameras=SphereCameraSampler(SphereSamplerConfig()),
    )
    config = OptimizeConfig(steps=1_000_000, views=2, resolution=resolution)
    return Optimization(scene, load_guidance(PocketSpec(), cpu), Prompt(text="red bricks"), config)


def _spin() -> None:
    while True:
        sum(range(1000))


@contextmanager
def others(busy: bool) -> Iterator[None]:
    """Two processes that keep a core each busy, where they are wished."""
    started = [multiprocessing.get_context("spawn").Process(target=_spin, daemon=True) for _ in range(_BUSY * busy)]
    try:
        for process in started:
            process.start()
        time.sleep(1.0 * busy)
        yield
    finally:
        for process in started:
            process.kill()
            process.join()


class Worker:
    """A process with so many threads, which takes steps when it is asked. `waits`: how its threads are to wait."""

    def __init__(self, threads: int, resolution: int, waits: Mapping[str, str] | None = None) -> None:
        names = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
        bare = {name: value for name, value in os.environ.items() if name not in names}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(threads), str(resolution)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**bare, **(waits or {}), "PYTHONPATH": os.getcwd()},
        )
        self._line()

    def steps(self, count: int) -> list[dict[str, float]]:
        """Takes so many steps; returns wall and processor seconds of each."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return [json.loads(self._line()) for _ in range(count)]

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended with {self._process.wait()}; its errors stand above")
        return line

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.communicate()


def _idle_share(before: Any, after: Any, cores: int, wall: float) -> float:
    return (after.idle - before.idle) / (cores * wall)


def _round(workers: Mapping[int, Worker], steps: int) -> dict[str, Any]:
    cores, found = os.cpu_count() or 1, dict[str, Any]()
    for threads, busy in CASES:
        with others(busy):
            before, begun = psutil.cpu_times(), time.perf_counter()
            taken = workers[threads].steps(steps)
            wall = time.perf_counter() - begun
            idle = _idle_share(before, psutil.cpu_times(), cores, wall)
        ours = sum(one["processor_s"] for one in taken) / (cores * wall)
        found[_name(threads, busy)] = {
            "wall_s": [one["wall_s"] for one in taken],
            "processor_s": [one["processor_s"] for one in taken],
            "others": max(0.0, 1.0 - idle - ours),
        }
    return found


def _name(threads: int, busy: bool) -> str:
    return f"{threads} {'thread' if threads == 1 else 'threads'}, {'beside two busy' if busy else 'alone'}"


def summary(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns each case's medians, and how many times as long a step takes beside the busy ones, with the best
    number of threads on an idle machine as the measure."""
    cases = dict[str, dict[str, float]]()
    for name in (_name(*case) for case in CASES):
        cases[name] = {
            key: median(value for one in rounds for value in one[name][key]) for key in ("wall_s", "processor_s")
        }
        cases[name]["others"] = median(one[name]["others"] for one in rounds)
    idle = min(cases[_name(threads, False)]["wall_s"] for threads in (1, 2))
    ratios = {str(threads): cases[_name(threads, True)]["wall_s"] / idle for threads in (1, 2)}
    return {"cases": cases, "times_as_long": ratios, "budget": BUDGET, "kept": min(ratios.values()) <= BUDGET}


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="a folder for what is measured so far")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of one small step")
    given = parser.parse_args()
    rounds, steps, resolution = (1, 1, 32) if given.quick else (given.rounds, given.steps, 128)
    cache = ResultCache(given.work, {"steps": steps, "resolution": resolution, "cases": [_name(*one) for one in CASES]})
    missing = [number for number in range(rounds) if cache.get(f"round-{number}") is None]
    if missing:
        with ExitStack() as stack:
            workers = {threads: Worker(threads, resolution) for threads in (1, 2)}
            for worker in workers.values():
                stack.callback(worker.close)
            for number in missing:
                cache.put(f"round-{number}", _round(workers, steps))
    found = [part for number in range(rounds) if (part := cache.get(f"round-{number}")) is not None]
    about = {**environment(), "load_average": list(os.getloadavg())}
    write_json(given.out, rounded({"environment": about, "rounds": rounds, **summary(found)}, 5))


if __name__ == "__main__":
    main()
