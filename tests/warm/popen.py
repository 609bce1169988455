# SPDX-License-Identifier: Apache-2.0
"""`subprocess.Popen` whose Pythons are forks of one that has imported torch, our packages and the rest already.

A hundred tests run a command or a server in a process of its own, and most of what that takes is imports. Nothing else
is different: the process is a child of the one that started it, has its own number, streams, group and command line,
and starts its own children the same way.

    with warm():
        subprocess.run([sys.executable, "-m", "pgc", "--help"])

What cannot be had by a fork is started as ever: another interpreter, variables that Python or a library reads as it
starts, options of Python, another system than Linux. So is everything under `PGC_TESTS_COLD=1`. Tests of how a process
starts do not use it.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import inspect
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from tests.warm.request import READY, REQUEST_BYTES, Request

__all__ = ["ROOT", "WarmPopen", "warm"]

ROOT = Path(__file__).resolve().parents[2]
_SET_CHILD_SUBREAPER, _GET_CHILD_SUBREAPER = 36, 37
_READ_AT_START = ("PYTHON", "HF_", "HUGGINGFACE", "TRANSFORMERS", "DIFFUSERS", "TORCH", "WARP", "LD_", "LC_", "MALLOC")
_ALSO = ("LANG", "LANGUAGE", "HOME", "XDG_CACHE_HOME", "COLUMNS")
_ROOM_FOR_A_COMMAND = "-" * 4000
_ANYHOW = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")


class WarmPopen(subprocess.Popen[Any]):
    """A process that is forked where it can be."""

    link: ClassVar[socket.socket | None] = None
    """Where to ask; None: every process is started."""
    started_with: ClassVar[Mapping[str, str]] = dict(os.environ)
    """The variables that the template has."""
    _asking: ClassVar[threading.Lock] = threading.Lock()

    def _execute_child(self, *given: Any) -> None:
        start = super()._execute_child
        options = inspect.signature(start).bind(*given).arguments
        request = _request(options)
        if request is None or len(request.packed()) > REQUEST_BYTES:
            start(*given)
            return
        streams = [
            own if options[name] == -1 else options[name]
            for own, name in enumerate(("p2cread", "c2pwrite", "errwrite"))
        ]
        with self._asking:
            self.pid = _ask(request, streams)
        self._child_created = True
        self._close_pipe_fds(  # type: ignore[attr-defined]
            *(options[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite"))
        )


def _request(options: Mapping[str, Any]) -> Request | None:
    """Returns what to ask for; None where the process has to be started."""
    command = options["args"]
    if WarmPopen.link is None or not isinstance(command, list | tuple) or options["shell"]:
        return None
    command = [os.fspath(argument) for argument in command]
    if not all(isinstance(argument, str) for argument in command) or command[0] != sys.executable:
        return None
    plain = command[2:] if command[1:2] == ["-P"] else command[1:]
    if not plain or (plain[0].startswith("-") and plain[0] not in ("-m", "-c")):
        return None
    special = [options[name] for name in ("executable", "preexec_fn", "gid", "gids", "uid")]
    if any(value is not None for value in special) or options["pass_fds"] or not options["close_fds"]:
        return None
    environment = dict(os.environ if options["env"] is None else options["env"])
    if not _same_start(environment):
        return None
    return Request(
        arguments=command,
        environment=environment,
        folder=os.fspath(options["cwd"] or os.getcwd()),
        umask=_umask() if options["umask"] < 0 else options["umask"],
        new_session=options["start_new_session"],
        group=options["process_group"],
    )


def _same_start(environment: Mapping[str, str]) -> bool:
    """Whether a process with these variables starts as the one did that is forked."""
    known = WarmPopen.started_with.get("PYTHONPATH", "").split(os.pathsep)
    if any(path and path not in known for path in environment.get("PYTHONPATH", "").split(os.pathsep)):
        return False
    return _read_at_start(WarmPopen.started_with) == _read_at_start(environment)


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name not in _ANYHOW and (name.startswith(_READ_AT_START) or name in _ALSO)
    }


def _ask(request: Request, streams: list[int]) -> int:
    """Returns the number of the process, which is now a child of this one."""
    link = WarmPopen.link
    assert link is not None
    before = ctypes.c_int()
    _libc().prctl(_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    _libc().prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        socket.send_fds(link, [request.packed()], streams)
        answer = link.recv(100)
    finally:
        # The orphans of others are not ours: nobody would wait for them.
        _libc().prctl(_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)
    if not answer:
        raise OSError("The process that others are forked from has ended.")
    return int(answer)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _umask() -> int:
    """Returns this process's mask, which a child inherits and a template of earlier need not have.

    It is read, not set and put back: another thread may make a file meanwhile.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 8) for line in lines if line.startswith("Umask:"))


def _start_template() -> socket.socket:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        command = [sys.executable, "-P", "-m", "tests.warm", str(its.fileno()), _ROOM_FOR_A_COMMAND]
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        WarmPopen.started_with = {**os.environ, "PYTHONPATH": paths}
        template = subprocess.Popen(
            command,
            cwd=ROOT,
            # No thread but the first lives on in a fork.
            env={**WarmPopen.started_with, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[its.fileno()],
        )
    # Here, and not in a test's first request, whose time may be limited.
    if ours.recv(len(READY)) != READY:
        raise RuntimeError("The process that others are to be forked from has ended; see above what it said.")

    def end() -> None:
        ours.close()
        template.wait()

    atexit.register(end)
    return ours


@contextlib.contextmanager
def warm() -> Iterator[None]:
    """While it lasts, what `subprocess` starts is forked. The first use takes as long as the imports do."""
    if not sys.platform.startswith("linux") or os.environ.get("PGC_TESTS_COLD"):
        yield
        return
    if WarmPopen.link is None:
        WarmPopen.link = _start_template()
    before = subprocess.Popen
    subprocess.Popen = WarmPopen  # type: ignore[misc]
    try:
        yield
    finally:
        subprocess.Popen = before  # type: ignore[misc]
