# SPDX-License-Identifier: Apache-2.0
"""Compiles and loads guard.cpp, once for each torch: the library is kept in the user's cache."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

__all__ = ["load_guards", "why_not"]

_SOURCE = Path(__file__).with_name("guard.cpp")


def why_not() -> str | None:
    """Why no device can be simulated here; None where one can."""
    if torch.version.cuda is not None or torch.version.hip is not None:
        return "this torch is built for real graphics cards"
    if shutil.which("g++") is None:
        return "there is no g++ to compile the device guard"
    if not (_include() / "c10/core/impl/DeviceGuardImplInterface.h").is_file():
        return "this torch comes without its C++ headers"
    return None


def load_guards(cache: Path | None = None) -> Path:
    """Register guards that do nothing with torch, for the rest of this process; returns the library.

    Raises:
        RuntimeError: the compiler has failed; its words are in the message.
    """
    folder = cache or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pgc-tests"
    key = hashlib.sha256(_SOURCE.read_bytes() + torch.__version__.encode()).hexdigest()[:16]
    library = folder / f"guard-{key}.so"
    if not library.is_file():
        _compile(library)
    ctypes.CDLL(str(library)).register_guards()
    return library


def _include() -> Path:
    return Path(torch.__file__).parent / "include"


def _compile(library: Path) -> None:
    library.parent.mkdir(parents=True, exist_ok=True)
    # Another process may be at it too: each writes its own file, and the last rename wins.
    descriptor, temporary = tempfile.mkstemp(dir=library.parent, suffix=".so")
    os.close(descriptor)
    abi = f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"
    flags = ["-std=c++20", "-O0", "-shared", "-fPIC", abi, f"-I{_include()}"]
    # The library that torch has loaded already, by its name.
    linked = [f"-L{_include().parent / 'lib'}", "-lc10"]
    command = ["g++", *flags, str(_SOURCE), "-o", temporary, *linked]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        Path(temporary).unlink()
        raise RuntimeError(f"g++ could not compile {_SOURCE.name}:\n{done.stderr[-2000:]}")
    os.replace(temporary, library)
