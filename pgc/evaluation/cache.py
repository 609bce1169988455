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

__all__ = ["ResultCache", "configuration_hash", "environment", "file_hash", "folder_hash", "write_json"]

_FOR_PEOPLE = (".md", ".webp")
"""Card and pictures beside a prior's weights: no result depends on them."""

_PACKAGE = Path(__file__).resolve().parents[1]


def configuration_hash(configuration: Mapping[str, Any]) -> str:
    """16 hex digits of the SHA-256 of the canonical JSON. Values must be JSON-able; the order of keys is no matter."""
    text = json.dumps(configuration, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        ConfigError: there is no such file.
    """
    if not path.is_file():
        raise ConfigError(f"There is no file {path}, whose hash an evaluation's result depends on.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_hash(path: Path) -> str:
    """SHA-256 over the relative names and bytes of all files below a folder, but for what only people read.

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


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` whole or not at all: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(path)


class ResultCache:
    """Parts of one evaluation. What is there is not computed again, so an interrupted evaluation goes on."""

    def __init__(self, root: Path, configuration: Mapping[str, Any]) -> None:
        self.key = configuration_hash(configuration)
        self.folder = root / self.key
        self.configuration = dict(configuration)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "configuration.json", self.configuration)

    def get(self, part: str) -> dict[str, Any] | None:
        """The stored part, or None. A damaged file (a killed machine's) counts as missing."""
        path = self.folder / f"{part}.json"
        if not path.is_file():
            return None
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError:
            return None
        return value if isinstance(value, dict) else None

    def put(self, part: str, value: Mapping[str, Any]) -> None:
        """Store a part."""
        write_json(self.folder / f"{part}.json", value)


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
    """What every result records: commit, versions, hardware."""
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
