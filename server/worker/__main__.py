# SPDX-License-Identifier: Apache-2.0
"""`python -m server.worker`: started by the broker, never by hand."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pgc.waiting_threads import let_threads_sleep
from server.children.link import read_settings
from server.children.log import start_log
from server.config import ServerPaths
from server.errors import ServerError


def main() -> int:
    """Reads the settings and works; returns the exit code."""
    # Ctrl-C in the broker's terminal is the broker's: it tells us to stop, and waits for our checkpoint.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        settings = read_settings(sys.stdin.buffer)
    except ServerError as error:
        sys.stderr.write(f"pgc-server: {error}\n")
        return 2
    start_log(ServerPaths(Path(settings.data_dir)), settings.role, settings.index)
    # Before torch is imported.
    let_threads_sleep(os.environ)
    # Torch and diffusers take seconds to import: only now.
    from pgc.errors import PgcError
    from server.worker.alone import alone
    from server.worker.main import serve

    try:
        with alone(ServerPaths(Path(settings.data_dir)).worker_lock(settings.index), sys.stdin.buffer):
            return serve(settings, sys.stdin.buffer)
    except PgcError as error:
        # A device that is not there.
        sys.stderr.write(f"pgc-server: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
