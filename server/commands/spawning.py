# SPDX-License-Identifier: Apache-2.0
"""Starting a server as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from server.platform import detached_process_options

__all__ = ["spawn_server"]

_ROOT = Path(__file__).resolve().parents[2]


def spawn_server(
    arguments: Sequence[str], output: IO[bytes], *, stdin: int = subprocess.DEVNULL, detached: bool = False
) -> subprocess.Popen[bytes]:
    """Starts `python -m server …` with this interpreter and this very code, which need not be installed.

    Args:
        output: takes what it prints; detached: it outlives this process and its terminal.
    """
    known = os.environ.get("PYTHONPATH")
    options: dict[str, Any] = detached_process_options() if detached else {}
    return subprocess.Popen[bytes](
        [sys.executable, "-P", "-m", "server", *arguments],
        stdin=stdin,
        stdout=output,
        stderr=output,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), *([known] if known else [])])},
        **options,
    )
