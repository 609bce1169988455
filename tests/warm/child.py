# SPDX-License-Identifier: Apache-2.0
"""What a fork does before and after it is the program that was asked for."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
import types
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import torch

from tests.warm.popen import WarmPopen
from tests.warm.request import Request
from tests.warm.template import rename, serve

__all__ = ["become"]


def become(request: Request, files: Sequence[int]) -> NoReturn:
    """Runs the program in this process, and ends with its exit code."""
    code = 70
    try:
        if request.new_session:
            os.setsid()
        elif request.group >= 0:
            os.setpgid(0, request.group)
        # What this process starts is forked too, from a copy of it as it is now.
        _start_own_template(files)
        _take_place(request, files)
        rename(request.arguments)
        code = _run(request.arguments[1:])
    except BaseException:  # noqa: BLE001 - nothing of it may go on in the template's code
        traceback.print_exc()
    finally:
        os._exit(code)


def _start_own_template(files: Sequence[int]) -> None:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        for file in files:
            os.close(file)
        rename([sys.executable, "-P", "-m", "tests.warm"])
        with contextlib.suppress(ConnectionError):
            serve(its, become)
        os._exit(0)
    its.close()
    WarmPopen.link = ours
    subprocess.Popen = WarmPopen  # type: ignore[misc]


def _take_place(request: Request, files: Sequence[int]) -> None:
    for number, file in enumerate(files):
        # What was received has a number above these, since a template has all three.
        os.dup2(file, number)
    for file in files:
        os.close(file)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.umask(request.umask)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    torch.set_num_threads(int(request.environment.get("OMP_NUM_THREADS", 0)) or os.cpu_count() or 1)
    sys.stdin, sys.stdout, sys.stderr = _stream(0, "r"), _stream(1, "w"), _stream(2, "w")
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr


def _stream(number: int, mode: str) -> io.TextIOWrapper:
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED")) and mode == "w"
    raw = open(number, f"{mode}b", 0 if unbuffered else -1, closefd=False)  # noqa: SIM115 - open as long as we live
    errors = "backslashreplace" if number == 2 else sys.__stdout__.errors if sys.__stdout__ else "strict"
    by_line = number == 2 or os.isatty(number)
    return io.TextIOWrapper(raw, "utf-8", errors, line_buffering=by_line, write_through=unbuffered)


def _run(arguments: list[str]) -> int:
    """Does what the interpreter does with its command line, and says how it ended."""
    code = 0
    try:
        _program(arguments)
    except SystemExit as end:
        code = _exit_code(end.code)
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _finish()
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        code = 1
    return code if _finish() else 120


def _finish() -> bool:
    """Waits for threads, runs what is to be run at the end; returns whether all that was printed has been written."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return False
    return True


def _program(arguments: list[str]) -> None:
    safe = arguments[0] == "-P"
    [kind, *rest] = arguments[1:] if safe else arguments
    if kind in ("-m", "-c"):
        name, *rest = rest
        if not safe:
            sys.path.insert(0, os.getcwd() if kind == "-m" else "")
        sys.argv = [name if kind == "-m" else "-c", *rest]
        if kind == "-m":
            runpy.run_module(name, run_name="__main__", alter_sys=True)
            return
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        exec(compile(name, "<string>", "exec"), module.__dict__)
        return
    sys.argv = [kind, *rest]
    if not safe:
        sys.path.insert(0, str(Path(kind).resolve().parent))
    runpy.run_path(kind, run_name="__main__")


def _exit_code(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1
