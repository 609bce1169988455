# SPDX-License-Identifier: Apache-2.0
"""What disk, memory and an echo alone take for the bytes of a bulk transfer: below that nobody's transfer can be.

Nothing is given back between two measurements, so that each gets memory that was not in use just before, as a transfer
does. On a virtual machine whose host takes back what is free, such memory is dear: compare `memory_again`.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.curve_echo import CurveEcho

CHUNK_UP, CHUNK_DOWN, WINDOW = 1024 << 10, 768 << 10, 16 << 20
"""Those of the product: chunks of uploads and downloads, and the most that is under way."""
_MIB = 1 << 20


def measure_floors(echo: CurveEcho, folder: Path | None, up: int, down: int, rounds: int) -> dict[str, Any]:
    """Rates in MiB/s, one a round, for so many bytes up and down.

    disk: written with plain calls into `folder` (None: where temporary files are), and on it after one fsync.
    memory: written to for the first time; memory_again: once more.
    kept_echo: the echo down, hashed and copied into such memory.
    literal_echo_up, literal_echo_down: each byte there and back, counted once.
    """
    down = max(CHUNK_DOWN, down // CHUNK_DOWN * CHUNK_DOWN)
    rates: dict[str, list[float]] = {}
    kept: list[np.ndarray[Any, Any]] = []
    with ExitStack() as files:
        for _ in range(rounds):
            rooms = [np.empty(down, np.uint8) for _ in range(2)]
            found = {
                "disk": _disk_rate(files, folder, up),
                "memory": _memory_rate(rooms[0]),
                "memory_again": _memory_rate(rooms[0]),
                "kept_echo": echo.kept(rooms[1], CHUNK_DOWN, WINDOW),
                "literal_echo_up": echo.back(up, CHUNK_UP, WINDOW),
                "literal_echo_down": echo.back(down, CHUNK_DOWN, WINDOW),
            }
            kept += rooms
            for name, rate in found.items():
                rates.setdefault(name, []).append(round(rate / _MIB, 1))
    medians = {f"{name}_median_mib_s": round(statistics.median(values), 1) for name, values in rates.items()}
    return {**{f"{name}_mib_s": values for name, values in rates.items()}, **medians}


def _disk_rate(files: ExitStack, folder: Path | None, size: int) -> float:
    """Bytes a second."""
    piece = os.urandom(CHUNK_UP)
    file = files.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 - closed with the others
    count = max(1, size // len(piece))
    start = time.perf_counter()
    for _ in range(count):
        file.write(piece)
    file.flush()
    os.fsync(file.fileno())
    return count * len(piece) / (time.perf_counter() - start)


def _memory_rate(room: np.ndarray[Any, Any]) -> float:
    """Bytes a second."""
    start = time.perf_counter()
    room.fill(1)
    return room.nbytes / (time.perf_counter() - start)
