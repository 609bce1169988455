# SPDX-License-Identifier: GPL-3.0-or-later
"""What an installation would do: commands, sizes, and what stands against it. Nothing is changed here."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..module_process import terminal_line
from .environment import environment_python
from .pythons import NEWEST, OLDEST, Interpreter, choose

__all__ = ["Obstacle", "Plan", "Request", "Step", "command_text", "has_nvidia_driver", "make_plan", "size_text"]

PACKAGE = "pgc-texture"
_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_CUDA_INDEX = "https://download.pytorch.org/whl/cu130"
"""For Windows, where the plain package index has PyTorch without CUDA; it is the CUDA of Linux's own packages."""
_TORCH = "torch>=2.11"
MB, GB = 10**6, 10**9
# Measured with pip on Linux: what is loaded, and what lies on the disk afterwards.
_SIZES = {"cpu": (470 * MB, 2_100 * MB), "cuda": (3_400 * MB, 8_500 * MB)}
_SPARE = 500 * MB
"""pip unpacks into a temporary folder before it moves, and a full disk is a broken machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the artist asks for.

    Args:
        folder: the environment's folder; made if need be.
        version: of the server that fits this extension.
        bundled: the server's wheel that came with the extension; None: the package index has it.
        wheels: folder of wheels that pip uses instead of the package index; None: pip goes online.
        online: Blender's Allow Online Access.
        cuda: the machine has an NVIDIA driver.
    """

    folder: Path
    version: str
    bundled: Path | None = None
    wheels: Path | None = None
    online: bool = True
    cuda: bool = False

    @property
    def requirement(self) -> str:
        """What pip is asked to install."""
        return f"{PACKAGE}=={self.version}" if self.bundled is None else str(self.bundled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command; `share` of the whole time, all shares add up to 1."""

    label: str
    command: tuple[str, ...]
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why it cannot be done now. `fix`: bl_idname of the operator that mends it, or empty."""

    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be done on consent; sizes in bytes. With obstacles, it will not."""

    request: Request
    python: Interpreter | None
    steps: tuple[Step, ...]
    download: int
    disk: int
    obstacles: tuple[Obstacle, ...]


def has_nvidia_driver() -> bool:
    """Says whether the driver's own tool is there; Windows keeps it in the system folder."""
    return shutil.which("nvidia-smi") is not None


def make_plan(
    request: Request,
    *,
    choose: Callable[[], Interpreter | None] = choose,
    free_space: Callable[[Path], int] | None = None,
    system: str | None = None,
) -> Plan:
    """Plans an installation.

    Args:
        choose: finds the Python; free_space: bytes free where a folder is or would be; system: as platform.system().
    """
    python = choose()
    download, disk = _sizes(request)
    obstacles = [
        *_python_obstacle(python),
        *_online_obstacle(request),
        *_folder_obstacle(request.folder),
        *_disk_obstacle(request.folder, disk, (free_space or _free_space)(request.folder)),
    ]
    steps = _steps(request, "python3" if python is None else python.path, system or platform.system())
    return Plan(request=request, python=python, steps=steps, download=download, disk=disk, obstacles=tuple(obstacles))


def _steps(request: Request, python: str, system: str) -> tuple[Step, ...]:
    there = str(environment_python(request.folder))
    pip = (there, "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--prefer-binary")
    source: tuple[str, ...] = ()
    if request.wheels is not None:
        source = ("--no-index", "--find-links", str(request.wheels))
    steps = [
        Step(label="Making the Environment", command=(python, "-I", "-m", "venv", str(request.folder)), share=0.05)
    ]
    index = _torch_index(request, system)
    if index is not None:
        # First and apart: from the package index alone pip would bring the other kind of PyTorch.
        torch = Step(label="Installing PyTorch", command=(*pip, "--index-url", index, _TORCH), share=0.5)
        steps.append(torch)
    left = 0.95 - sum(step.share for step in steps)
    steps.append(Step(label="Installing the Server", command=(*pip, *source, request.requirement), share=left))
    steps.append(Step(label="Trying the Server", command=(there, "-I", "-m", "server", "--help"), share=0.05))
    return tuple(steps)


def _torch_index(request: Request, system: str) -> str | None:
    if request.wheels is not None or system == "Darwin":
        return None
    if system == "Windows":
        return _CUDA_INDEX if request.cuda else None
    return None if request.cuda or platform.machine() not in {"x86_64", "AMD64"} else _CPU_INDEX


def _sizes(request: Request) -> tuple[int, int]:
    if request.wheels is None:
        return _SIZES["cuda" if request.cuda else "cpu"]
    packed = sum(path.stat().st_size for path in request.wheels.glob("*.whl")) if request.wheels.is_dir() else 0
    # Wheels of this kind unpack to about three times their size.
    return 0, 3 * packed + 30 * MB


def _python_obstacle(python: Interpreter | None) -> list[Obstacle]:
    if python is not None:
        return []
    oldest, newest = (".".join(map(str, version)) for version in (OLDEST, NEWEST))
    text = f"No Python from {oldest} to {newest} with venv was found; install one from python.org"
    return [Obstacle(text=text + (", or: apt install python3-venv" if sys.platform == "linux" else ""))]


def _online_obstacle(request: Request) -> list[Obstacle]:
    if request.wheels is not None:
        if not request.wheels.is_dir() or not any(request.wheels.glob("*.whl")):
            return [Obstacle(text=f"There are no wheels in {request.wheels}; choose another folder, or none")]
        return []
    if request.online:
        return []
    text = "Allow Online Access is off, and the server's packages must be loaded; allow it, or use Copy Command"
    return [Obstacle(text=text, fix="extensions.userpref_allow_online")]


def _folder_obstacle(folder: Path) -> list[Obstacle]:
    blender = Path(sys.prefix).resolve()
    resolved = folder.resolve()
    if resolved.is_relative_to(blender):
        return [Obstacle(text=f"{folder} lies in Blender's own Python; choose a folder outside Blender")]
    if resolved in {Path.home().resolve(), Path(resolved.anchor)}:
        return [Obstacle(text=f"{folder} is no folder of its own; choose a new one")]
    return []


def _disk_obstacle(folder: Path, disk: int, free: int) -> list[Obstacle]:
    needed = disk + _SPARE
    if free >= needed:
        return []
    text = (
        f"{size_text(needed)} must be free for {folder}, but {size_text(free)} are; make room, or choose another disk"
    )
    return [Obstacle(text=text)]


def _free_space(folder: Path) -> int:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def size_text(size: int) -> str:
    """Says bytes for people: "450 MB", "2.1 GB"."""
    return f"{size / GB:.1f} GB" if size >= GB else f"{max(1, round(size / MB))} MB"


def command_text(plan: Plan) -> str:
    """Returns the same commands for a terminal, one a line."""
    return "\n".join(terminal_line(step.command) for step in plan.steps) + "\n"
