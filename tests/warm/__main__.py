# SPDX-License-Identifier: Apache-2.0
"""`python -P -m tests.warm DESCRIPTOR …`: started by `popen.py`, never by hand."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import socket
import sys

import torch

from tests.warm.child import become
from tests.warm.request import READY
from tests.warm.template import serve

_PROGRAMS = (
    "pgc.cli",
    "pgc.guidance.diffusion.loading",
    "pgc.remote.private_server",
    "pgc.runs.runner",
    "server.broker.main",
    "server.cli",
    "server.gate.main",
    "server.worker.alone",
    "server.worker.main",
)


def main() -> None:
    """Imports all that a command, a server and its children import sooner or later; says so, and waits to be forked."""
    link = socket.socket(fileno=int(sys.argv[1]))
    link.set_inheritable(False)
    for name in _PROGRAMS:
        importlib.import_module(name)
    torch.set_num_threads(1)
    # An optimiser's first construction imports torch's compiler.
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    # Memory that nobody writes to stays shared.
    gc.collect()
    gc.freeze()
    link.send(READY)
    with contextlib.suppress(ConnectionError):
        serve(link, become)
    # Nothing is to be tidied up, and some libraries would say what they think of that.
    os._exit(0)


if __name__ == "__main__":
    main()
