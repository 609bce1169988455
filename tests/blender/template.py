# SPDX-License-Identifier: Apache-2.0
"""A Python that has imported bpy, and forks for each probe: `python -P template.py DESCRIPTOR`; see forked.py.

What a probe finds is what a Blender finds that has just started: nothing was done in this one, its settings folder is
empty, and the one that the probe's environment names is looked up whenever it is asked for.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

REQUEST_BYTES = 150_000
_PREPARED = ("numpy", "zmq", "msgpack", "unittest.mock")
"""What the add-on and the probes import sooner or later."""


def serve(link: socket.socket) -> None:
    """Forks at each request; says which process it is, and then how it ended. Returns when nobody can ask any more."""
    while packet := link.recv(REQUEST_BYTES):
        pid = os.fork()
        if pid == 0:
            link.close()
            become(json.loads(packet))
        link.send(json.dumps({"pid": pid}).encode())
        _, status = os.waitpid(pid, 0)
        link.send(json.dumps({"code": os.waitstatus_to_exitcode(status)}).encode())


def become(request: dict[str, Any]) -> NoReturn:
    """Runs the probe in this process, and ends with its exit code."""
    code = 1
    try:
        output = os.open(request["output"], os.O_WRONLY)
        for number in (1, 2):
            os.dup2(output, number)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        paths = request["environment"].get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:0] = [path for path in paths if path and path not in sys.path]
        sys.argv = request["arguments"]
        from probe_runner import main

        main(sys.argv[1:])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Imports, says so, and waits to be forked."""
    link = socket.socket(fileno=int(sys.argv[1]))
    link.set_inheritable(False)
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    import bpy  # noqa: F401 - it is what takes the time

    for name in _PREPARED:
        __import__(name)
    # Memory that nobody writes to stays shared.
    gc.collect()
    gc.freeze()
    link.send(b"ready")
    with contextlib.suppress(ConnectionError):
        serve(link)
    os._exit(0)


if __name__ == "__main__":
    main()
