# SPDX-License-Identifier: Apache-2.0
"""Installs Blender as a Python module, for the tests and the demo.

    python -m tests.blender.install_bpy          # into this environment, where a release fits its Python and numpy
    python -m tests.blender.install_bpy --all    # each tested version into an environment of its own, .venv-bpy/VERSION

Never fails: without a network, or on a Python that no release is made for, the tests that need Blender are skipped.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv-bpy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release of bpy: the one Python that it is made for, and the major version of numpy that it asks for."""

    version: str
    python: str
    numpy: int | None

    @property
    def minor(self) -> str:
        """Such as "4.2"."""
        return ".".join(self.version.split(".")[:2])


RELEASES = (
    Release(version="5.2.3", python="3.13", numpy=2),
    Release(version="5.1.2", python="3.13", numpy=1),
    Release(version="5.0.1", python="3.11", numpy=1),
    Release(version="4.5.15", python="3.11", numpy=1),
    Release(version="4.2.23", python="3.11", numpy=None),
)
"""The tested ones, the newest first."""


def fitting(python: str, numpy: str | None) -> Release | None:
    """The newest release for a Python ("3.11") and the numpy ("2.4.6") that is there and has to stay."""
    major = None if numpy is None else int(numpy.split(".")[0])
    for release in RELEASES:
        if release.python == python and (release.numpy is None or major is None or release.numpy == major):
            return release
    return None


def python_in(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / "Scripts" / "python.exe" if sys.platform == "win32" else folder / "bin" / "python"


def _pip(python: str, *requirements: str) -> bool:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    return subprocess.run([*command, *requirements], check=False).returncode == 0


def install_here() -> None:
    """Into the environment that runs this, which keeps its numpy."""
    if importlib.util.find_spec("bpy") is not None:
        return
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    numpy = _version("numpy")
    release = fitting(python, numpy)
    if release is None:
        _say(f"No bpy for Python {python} with numpy {numpy}: the tests that need Blender are skipped.")
        return
    _say(f"Installing Blender {release.version} as a module, bpy (about 350 MB).")
    pinned = () if numpy is None else (f"numpy=={numpy}",)
    if not _pip(sys.executable, f"bpy=={release.version}", *pinned):
        _say("bpy could not be installed: the tests that need Blender are skipped.")


def install_all(folder: Path = FOLDER) -> None:
    """Each release whose Python is on this machine, into folder/MINOR."""
    for release in reversed(RELEASES):
        target = folder / release.minor
        if python_in(target).exists():
            continue
        python = shutil.which(f"python{release.python}")
        if python is None:
            _say(f"Not installed: bpy {release.version} needs Python {release.python}, which is not here.")
            continue
        _say(f"Installing bpy {release.version} (about 350 MB) into {target}.")
        if not _make(python, target, release):
            shutil.rmtree(target, ignore_errors=True)
            _say(f"Not installed: pip cannot get bpy {release.version} for Python {release.python}.")


def _make(python: str, target: Path, release: Release) -> bool:
    if subprocess.run([python, "-m", "venv", str(target)], check=False).returncode:
        return False
    there = str(python_in(target))
    if release.python == "3.13" and release.numpy == 1:
        # It asks for a numpy that has no wheel for its Python; it works with the next.
        others = ("numpy>=2.2,<3", "requests", "zstandard", "cattrs", "pyzmq", "msgpack")
        return _pip(there, *others) and _pip(there, "--no-deps", f"bpy=={release.version}")
    return _pip(there, f"bpy=={release.version}", "pyzmq", "msgpack")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="each tested version, into .venv-bpy")
    install_all() if parser.parse_args(arguments).all else install_here()
    return 0


if __name__ == "__main__":
    sys.exit(main())
