# SPDX-License-Identifier: Apache-2.0
"""`python -m server.gate`: started by the broker, never by hand."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def main() -> int:
    """Reads the settings and validates; returns the exit code."""
    # Ctrl-C in the broker's terminal is the broker's.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Before NumPy is imported: each of its threads would take address space, which is capped.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    from server.children.link import read_settings
    from server.children.log import start_log
    from server.config import ServerPaths
    from server.errors import ServerError
    from server.gate.main import serve

    try:
        settings = read_settings(sys.stdin.buffer)
    except ServerError as error:
        sys.stderr.write(f"pgc-server: {error}\n")
        return 2
    start_log(ServerPaths(Path(settings.data_dir)), settings.role, settings.index)
    return serve(settings, sys.stdin.buffer)


if __name__ == "__main__":
    sys.exit(main())
