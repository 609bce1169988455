# SPDX-License-Identifier: Apache-2.0
"""xatlas in a process of its own, which can be watched, stopped and survived (see xatlas_worker.py)."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int

from blender_addon.uv_measure import expected_seconds
from blender_addon.uv_measure.charts import connected
from pgc.errors import MeshError

__all__ = ["Meter", "run_xatlas"]


class Meter:
    """Progress by elapsed over expected time; approaches 0.97 and is 1 only when done."""

    def __init__(self, progress: Callable[[float], None] | None, triangle_count: int) -> None:
        self._progress = progress
        self._expected = expected_seconds(triangle_count)
        self._start = time.monotonic()

    def tell(self, *, done: bool = False) -> None:
        """Reports the progress as it is now."""
        if self._progress is not None:
            share = (time.monotonic() - self._start) / self._expected
            self._progress(1.0 if done else 0.97 * (1.0 - float(np.exp(-share))))


def run_xatlas(
    mode: str, vertices: Float32[np.ndarray, "V C"], faces: Int[np.ndarray, "F 3"], name: str, meter: Meter
) -> tuple[Int[np.ndarray, "F 3"], Float32[np.ndarray, "N 2"]]:
    """Returns indices into the new UVs for each triangle corner, in the order of `faces`, and the UVs.

    `mode` is "chart" for positions, "pack" for UVs in texels, "move" for such whose charts may not be mirrored.
    Raises `MeshError` where xatlas fails.
    """
    with tempfile.TemporaryDirectory(prefix="pgc-unwrap-") as name_of_folder:
        folder = Path(name_of_folder)
        np.save(folder / "vertices.npy", np.ascontiguousarray(vertices))
        np.save(folder / "faces.npy", faces.astype(np.uint32))
        if mode == "move":
            np.save(
                folder / "charts.npy", connected(len(vertices), np.repeat(faces[:, 0], 2), faces[:, 1:].reshape(-1))
            )
        script = Path(__file__).with_name("xatlas_worker.py")
        errors = folder / "errors.txt"
        with errors.open("wb") as sink:
            command = [sys.executable, "-P", str(script), mode, str(folder)]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=sink)
            try:
                while process.poll() is None:
                    meter.tell()
                    _wait(process, 0.25)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        results = folder / "indices.npy", folder / "uvs.npy"
        if process.returncode != 0 or not all(path.exists() for path in results):
            lines = errors.read_text(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"it ended with code {process.returncode}"
            raise MeshError(
                f"{name}: xatlas could not unwrap the mesh ({reason}); unwrap it in Blender (U > Smart UV Project)."
            )
        indices, uvs = (np.load(path, allow_pickle=False) for path in results)
    if len(indices) != len(faces):
        raise MeshError(
            f"{name}: xatlas gave {len(indices)} of {len(faces)} triangles back; "
            "unwrap the mesh in Blender (U > Smart UV Project)."
        )
    return indices.astype(np.int64), uvs


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return
