# SPDX-License-Identifier: Apache-2.0
"""Results on disk, one JSON file a part, in a folder named after a hash of all that they depend on."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgc.errors import ConfigError
from pgc.whole_files import write_text

__all__ = ["ResultCache", "configuration_hash", "environment", "file_hash", "folder_hash", "rounded", "write_json"]

_FOR_PEOPLE = (".md", ".webp")
"""Card and pictures beside a prior's weights: no result depends on them."""

_PACKAGE = Path(__file__).resolve().parents[1]


def configuration_hash(configuration: Mapping[str, Any]) -> str:
    """Returns 16 hex digits of the SHA-256 of the canonical JSON. Values must be JSON-able; the order of keys is no
    matter."""
    text = json.dumps(configuration, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes.

    Raises:
        ConfigError: there is no such file.
    """
    if not path.is_file():
        raise ConfigError(f"There is no file {path}, whose hash an evaluation's result depends on.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_hash(path: Path) -> str:
    """Returns the SHA-256 over the relative names and bytes of all files below a folder, but for what only people read.

    Raises:
        ConfigError: there is no such folder, or it is empty.
    """
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix not in _FOR_PEOPLE)
    if not files:
        raise ConfigError(f"The folder {path} is missing or empty; its weights are what is evaluated.")
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(path).as_posix()}:{file_hash(file)}\n".encode())
    return digest.hexdigest()


def rounded(value: object, digits: int = 6) -> Any:  # noqa: ANN401 - JSON
    """Returns a JSON-able value with every float rounded to so many significant digits: no score has more, and a result
    file of hundreds of runs is half as large."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, Mapping):
        return {name: rounded(each, digits) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each, digits) for each in value]
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes `value` whole or not at all: a reader never sees half a file."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


class ResultCache:
    """Parts of one evaluation. What is there is not computed again, so an interrupted evaluation goes on."""

    def __init__(self, root: Path, configuration: Mapping[str, Any]) -> None:
        self.key = configuration_hash(configuration)
        self.folder = root / self.key
        self.configuration = dict(configuration)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "configuration.json", self.configuration)

    def get(self, part: str) -> dict[str, Any] | None:
        """Returns the stored part, or None. A damaged file (a killed machine's) counts as missing."""
        path = self.folder / f"{part}.json"
        if not path.is_file():
            return None
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError:
            return None
        return value if isinstance(value, dict) else None

    def put(self, part: str, value: Mapping[str, Any]) -> None:
        """Stores a part."""
        write_json(self.folder / f"{part}.json", value)

    def take_over(self, result: Path) -> int:
        """Stores the rows of a result file as parts by their names, but for those that are here; returns how many they
        were.

        Raises:
            ConfigError: the file is missing or no result, or is of another configuration.
        """
        try:
            content = json.loads(result.read_text(encoding="utf-8"))
            made_with, rows = content["configuration_hash"], {_part_name(row): dict(row) for row in content["rows"]}
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{result} cannot be gone on from: it is no result file of this evaluation. Name the JSON file that an "
                f"earlier run wrote to its --out."
            ) from error
        if made_with != self.key:
            raise ConfigError(
                f"{result} cannot be gone on from: it was made with configuration {made_with}, and this is {self.key}. "
                f"Ask for the same seed and slice, or start anew without it."
            )
        missing = [name for name in rows if self.get(name) is None]
        for name in missing:
            self.put(name, rows[name])
        return len(missing)


def _part_name(row: Mapping[str, Any]) -> str:
    """The row's name. ValueError where it is none that a part may have: it becomes a file's."""
    name = row["name"]
    if not isinstance(name, str) or not name or set(name) & set("/\\"):
        raise ValueError(f"{name!r} is no name of a run.")
    return name


def _commit() -> str:
    """The checkout's commit, with "+" where tracked files differ from it; "unknown" outside a checkout."""
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
            cwd=_PACKAGE, capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return run.stdout.strip() if run.returncode == 0 else "unknown"


def _processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def environment() -> dict[str, Any]:
    """Returns what every result records: commit, versions, hardware."""
    import torch

    import pgc

    accelerator = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "commit": _commit(),
        "pgc": pgc.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": accelerator,
    }
