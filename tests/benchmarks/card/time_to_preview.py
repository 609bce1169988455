# SPDX-License-Identifier: Apache-2.0
"""From the command to the first picture of a texture, and to its end, as an artist waits for them.

    python -m tests.benchmarks.card.time_to_preview --work DIR --out FILE [--repeats 3] [--quick]

`pgc texture` with the built-in model in a process of its own, as often as is wished; it ends after its first picture in
all but the last repeat. Wall seconds, and processor seconds of the process and its children, at the moment
when `preview.png` is there. What other models take on cards is in the page's table of plans, by count.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from pgc.evaluation.cache import environment, rounded, write_json
from pgc.evaluation.meshes import evaluation_mesh
from pgc.export.obj import write_obj
from pgc.mesh import prepare_mesh

__all__ = ["one_run"]

_POLL = 0.02


def one_run(mesh: Path, out: Path, options: list[str], *, to_the_end: bool) -> dict[str, float]:
    """Runs the command; returns wall and processor seconds to the first preview, and with `to_the_end` to its end.

    Raises:
        RuntimeError: the command failed, or made no preview.
    """
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "pgc", "texture", str(mesh), "--prompt", "red bricks", "--out", str(out)]
    begun = time.perf_counter()
    found = dict[str, float]()
    with subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None and not (out / "preview.png").is_file():
            time.sleep(_POLL)
        if not (out / "preview.png").is_file():
            raise RuntimeError(f"pgc texture ended with {process.wait()} before its first preview")
        found["preview_s"] = time.perf_counter() - begun
        if process.poll() is None:
            spent = watched.cpu_times()
            found["preview_processor_s"] = spent.user + spent.system + spent.children_user + spent.children_system
        if not to_the_end:
            process.kill()
            return found
        if process.wait():
            raise RuntimeError(f"pgc texture ended with {process.returncode}")
    found["end_s"] = time.perf_counter() - begun
    return found


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a small texture, a few steps, once")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    mesh = given.work / "trefoil.obj"
    write_obj(mesh, prepare_mesh(evaluation_mesh("trefoil")), {})
    options = ["--steps", "2", "--texture-size", "128", "--resolution", "64"] if given.quick else []
    repeats = 1 if given.quick else given.repeats
    runs = [one_run(mesh, given.work / "run", options, to_the_end=number == repeats - 1) for number in range(repeats)]
    names = sorted({name for run in runs for name in run})
    medians: dict[str, Any] = {name: median(run[name] for run in runs if name in run) for name in names}
    about = {**environment(), "load_average": list(os.getloadavg())}
    write_json(given.out, rounded({"environment": about, "options": options, "repeats": repeats, **medians}, 4))


if __name__ == "__main__":
    main()
