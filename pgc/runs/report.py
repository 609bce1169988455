# SPDX-License-Identifier: Apache-2.0
"""run.json: what was run, with what, and how long it took."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pgc
from pgc.errors import CheckpointError
from pgc.mesh import PreparedMesh
from pgc.whole_files import write_json

__all__ = [
    "FORMAT",
    "SHAPE_FORMAT",
    "VOLUME_FORMAT",
    "RunClock",
    "RunReport",
    "RunState",
    "git_revision",
    "mesh_facts",
    "plain",
    "read_report",
    "versions",
    "write_report",
]

FORMAT = "pgc-run-1"
SHAPE_FORMAT = "pgc-shape-1"
"""Of shape runs, whose report is `pgc.shape.outcome`'s."""
VOLUME_FORMAT = "pgc-volume-1"
"""Of volume runs, whose report is `pgc.volume.outcome`'s."""
RunState = Literal["running", "interrupted", "finished", "failed"]

_PACKAGES = ("torch", "numpy", "scipy", "pillow", "safetensors", "diffusers", "transformers", "tokenizers", "warp-lang")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """Everything in run.json; all values are plain JSON."""

    state: RunState
    arguments: Mapping[str, Any]
    """What was asked for, as the command line spells it: enough to resume."""
    resolved: Mapping[str, Any]
    """Every setting of the run, defaults included."""
    seed: int
    steps_done: int
    device: str
    mesh: Mapping[str, Any]
    unknown_words: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """SHA-256 by file name."""
    uncovered_fraction: float | None = None
    """Share of the charts' texels that no camera saw; they were filled from their neighbours."""
    rasterizer: str = ""
    """What drew the views: warp or nvdiffrast."""
    memory_plan: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Views, resolution and the like as they ran, which may be less than was asked for."""
    non_finite: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Steps and pixels whose gradient was an infinity or a NaN, and counted as zero."""
    regulation: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What regulation did to ∂L/∂x: see `pgc.optimization.loop.Optimization.regulation_summary`."""
    found_light: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What light was found on average, where it is explained: see `LightExplainer.summary`; found_light.png has it."""
    server: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Where a server ran it: the submission's key, the job's name there, and what the server says of the run."""


class RunClock:
    """Seconds since the start, and by stage."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.stages: dict[str, float] = {}

    def elapsed(self) -> float:
        """Returns the seconds since the start."""
        return time.perf_counter() - self.start

    def add(self, stage: str, seconds: float) -> None:
        """Counts seconds to a stage."""
        self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    def summary(self) -> dict[str, float]:
        """Returns the stages and the total, rounded, as a report has them."""
        rounded = {name: round(seconds, 3) for name, seconds in self.stages.items()}
        return {**rounded, "total": round(self.elapsed(), 3)}


def mesh_facts(mesh: PreparedMesh) -> dict[str, Any]:
    """Returns what a report says of the mesh."""
    return {
        "name": mesh.mesh.name,
        "vertices": len(mesh.mesh.positions),
        "polygons": len(mesh.mesh.polygon_sizes),
        "triangles": len(mesh.triangles.faces),
        "report": plain(mesh.report),
    }


def versions() -> dict[str, str]:
    """Returns the versions of Python, the system and the packages that decide a result."""
    found = {"pgc-texture": pgc.__version__, "python": platform.python_version(), "system": platform.platform()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def git_revision() -> str | None:
    """Returns the commit that pgc runs from, with "+changes" behind it if the tree differs; None outside a checkout."""
    root = Path(pgc.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        # No git program, or a checkout without a commit: the report then does without.
        return None
    return commit + ("+changes" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Returns dataclasses, paths, tuples and mappings as plain JSON values; a dataclass says which one it is
    ("type")."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def write_report(path: Path, report: RunReport) -> None:
    """Raises OutputError where the file cannot be written."""
    content = {item.name: plain(getattr(report, item.name)) for item in dataclasses.fields(report)}
    write_json(path, {"format": FORMAT, **content, "versions": versions(), "git": git_revision()})


def read_report(path: Path, formats: tuple[str, ...] = (FORMAT,)) -> dict[str, Any]:
    """Reads the content of a run.json of one of some formats.

    Raises:
        CheckpointError: there is none, or it is not one of ours.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no {path.name} in {path.parent}; is this the folder of a run?") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); start the run again in another folder.") from error
    if not isinstance(content, dict) or content.get("format") not in formats:
        other = content.get("format") if isinstance(content, dict) else None
        if other in (SHAPE_FORMAT, VOLUME_FORMAT):
            raise CheckpointError(
                f"{path} is of a run for a new shape ({other}), and not of a texture ({FORMAT}); texture its mesh with "
                "pgc texture first."
            )
        raise CheckpointError(f"{path} is not a run report of this version ({FORMAT}); start the run again.")
    return content
