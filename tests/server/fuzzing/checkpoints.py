# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a job, damaged: what is loaded is what was written, of the newest one that is whole; and none goes."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import save as as_safetensors

from pgc.runs.checkpoint import FORMAT, _checksum
from server.config import ServerPaths
from server.worker.checkpoints import Saved, load_newest, save
from tests.server.fuzzing.damage import STRANGE_TEXTS, damaged_bytes, damaged_json
from tests.server.fuzzing.judge import WrongError, contents, lost

__all__ = ["Checkpoints"]

_JOB = "b" * 32
_STEPS = (10, 20)
_SPARSE = 96 << 20


class Checkpoints:
    """One job with two checkpoints, of which one or both are damaged in each case."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._seed = seed
        self._paths = ServerPaths(folder / "data")
        self._paths.job(_JOB).mkdir(parents=True)
        self._paths.spec(_JOB).write_bytes(b"\x80")
        self._whole: dict[int, Saved] = {}
        for step in _STEPS:
            generator = torch.Generator().manual_seed(step)
            tensors = {
                "texture.level.0": torch.rand(3, 8, 8, generator=generator),
                "optimizer.0.exp_avg": torch.rand(3, 8, 8, generator=generator),
                "optimizer.0.step": torch.tensor(float(step)),
                "lock": torch.ones(8, 8, dtype=torch.bool),
                "nothing": torch.zeros(0, 3),
            }
            self._whole[step] = Saved(tensors=tensors, header={"step": step, "config": "c" * 64, "seed": 7}, plan=0)
            save(self._paths, _JOB, self._whole[step])
        self._files = {
            self._paths.previous_checkpoint(_JOB): self._paths.previous_checkpoint(_JOB).read_bytes(),
            self._paths.checkpoint(_JOB): self._paths.checkpoint(_JOB).read_bytes(),
        }

    def case(self, number: int) -> Sequence[str]:
        """See `Target`."""
        rng = Random(f"checkpoint {self._seed} {number}")
        for path, data in self._files.items():
            _remove(path)
            path.write_bytes(data)
        damaged = self._damage(rng)
        sizes = {path: _size(path) for path in self._files}
        before = contents(self._paths.root) if max(sizes.values()) < _SPARSE else {}
        found = load_newest(self._paths, _JOB)
        self._check(found, damaged)
        gone = lost(before, contents(self._paths.root)) if before else []
        if gone or sizes != {path: _size(path) for path in self._files}:
            raise WrongError(f"gone or changed: {gone}")
        return ["none" if found is None else f"step {found.step}"]

    def close(self) -> None:
        """See `Target`."""

    def _check(self, found: Saved | None, damaged: dict[Path, bool]) -> None:
        previous, newest = self._files
        if newest not in damaged and (found is None or found.step != _STEPS[1]):
            raise WrongError("the newest one is whole, and was not taken")
        if newest in damaged and previous not in damaged and found is None:
            raise WrongError("the one before is whole, and was not taken")
        if found is None or any(damaged.values()):
            # With a checksum of its own a file says what somebody meant it to say.
            return
        truth = self._whole.get(found.step)
        if truth is None or {**truth.header, "plan": 0} != {k: v for k, v in found.header.items() if k != "spec"}:
            raise WrongError(f"another header: {found.header}")
        same = truth.tensors.keys() == found.tensors.keys() and all(
            torch.equal(value, found.tensors[name]) and value.dtype == found.tensors[name].dtype
            for name, value in truth.tensors.items()
        )
        if not same:
            raise WrongError("other tensors")

    def _damage(self, rng: Random) -> dict[Path, bool]:
        """Damages one or both; tells which, and whether its checksum is right all the same."""
        previous, newest = self._files
        chosen = rng.choice(([newest], [newest], [previous], [previous, newest]))
        damaged: dict[Path, bool] = {}
        for path in chosen:
            data = self._files[path]
            damaged[path] = False
            match rng.randrange(12):
                case 0 | 1 | 2 | 3:
                    path.write_bytes(damaged_bytes(rng, data))
                case 4 | 5:
                    path.write_bytes(_other_header(rng, data))
                case 6 | 7 | 8:
                    path.write_bytes(self._meant(rng))
                    damaged[path] = True
                case 9:
                    path.write_bytes(rng.choice((*STRANGE_TEXTS, b"\x80\x04\x95", struct.pack("<Q", 1 << 62))))
                case 10:
                    _in_its_place(rng, path)
                case _:
                    path.write_bytes(self._files[previous if path == newest else newest])
                    # Whole, and of another step: nobody can tell.
                    damaged[path] = True
        return {path: meant for path, meant in damaged.items() if meant or not _is_same(path, self._files[path])}

    def _meant(self, rng: Random) -> bytes:
        """Other content, and the checksum to it."""
        saved = self._whole[rng.choice(_STEPS)]
        header = {**saved.header, "plan": saved.plan, "spec": "0" * 64}
        text = damaged_json(rng, header, rng.choice((1, 2, 3))).decode("utf-8", "replace")
        if rng.random() < 0.15:
            text = rng.choice(STRANGE_TEXTS).decode("utf-8", "replace")
        tensors = dict(saved.tensors)
        if rng.random() < 0.5:
            tensors[rng.choice((*tensors, "", "x" * 300))] = _strange_tensor(rng)
        metadata = {"format": FORMAT, "header": text, "sha256": _checksum(tensors, text)}
        return as_safetensors(tensors, metadata)


def _strange_tensor(rng: Random) -> Any:
    dtypes = (torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.complex64, torch.float8_e4m3fn)
    shape = rng.choice(((), (0,), (1,), (7,), (2, 3), (1, 1, 1, 1, 1, 1)))
    return torch.zeros(shape).to(rng.choice(dtypes))


def _other_header(rng: Random, data: bytes) -> bytes:
    """The file with another table of its tensors."""
    (length,) = struct.unpack("<Q", data[:8])
    table = damaged_json(rng, json.loads(data[8 : 8 + length]), rng.choice((1, 1, 2, 4)))
    stated = len(table) if rng.random() < 0.9 else rng.choice((0, 1, length, 1 << 31, (1 << 64) - 1))
    return struct.pack("<Q", stated) + table + data[8 + length :]


def _in_its_place(rng: Random, path: Path) -> None:
    _remove(path)
    match rng.randrange(5):
        case 0:
            path.mkdir()
        case 1:
            path.symlink_to(path)
        case 2:
            path.symlink_to(path.parent / "nowhere")
        case 3:
            with path.open("wb") as file:
                file.truncate(_SPARSE)
        case _:
            pass


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    path.unlink(missing_ok=True)


def _is_same(path: Path, data: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1
