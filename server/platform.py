# SPDX-License-Identifier: Apache-2.0
"""What differs between Linux, macOS and Windows: locks, rights, durable renames, limits, signals.

Each function states what it does where the system lacks the means. The choice is made by what the system
offers (is there `fcntl`?), so that a test can take the means away and see the fallback.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from server.errors import AlreadyRunningError, ConfigError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_OWN_MAPPING = 8 << 20
"""Larger pieces of memory go back to the system at once."""


def _optional(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


# Typed as Any: which functions there are depends on the system that the type checker runs on.
_fcntl: Any = _optional("fcntl")
_msvcrt: Any = _optional("msvcrt")
_resource: Any = _optional("resource")

IS_WINDOWS = sys.platform == "win32"


class InstanceLock:
    """A lock of the operating system on one file; it goes with the process, however that ends.

        with InstanceLock(paths.lock):
            ...

    Raises:
        AlreadyRunningError: another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> InstanceLock:
        self.acquire()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Takes the lock. Raises AlreadyRunningError where another process holds it."""
        make_private_directory(self._path.parent)
        # Not inherited by children, which would hold the lock after our end.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise AlreadyRunningError(
                f"Another server uses {self._path.parent}; stop it with `pgc-server stop`, or give another --data."
            ) from error
        self._descriptor = descriptor

    def is_in_place(self) -> bool:
        """Says whether the lock's file is still the one at its path. If not, the folder was deleted or replaced, and
        another server can hold a lock there."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            return False

    def release(self) -> None:
        """Lets go of the lock; the file stays."""
        if self._descriptor is not None:
            os.close(self._descriptor)  # Which unlocks. The file stays: removing it would race with the next server.
            self._descriptor = None


def _lock(descriptor: int) -> None:
    if _fcntl is not None:
        _fcntl.flock(descriptor, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    elif _msvcrt is not None:
        _msvcrt.locking(descriptor, _msvcrt.LK_NBLCK, 1)
    else:
        raise OSError("This system has neither fcntl nor msvcrt, so the server cannot be sure to be alone.")


def make_private_directory(path: Path) -> None:
    """Makes a directory that only its owner can enter (0700); an existing one is narrowed to that.

    Windows: a user's data directory is the user's alone by what it inherits; the mode has no effect there.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not IS_WINDOWS:
        path.chmod(0o700)


def keep_new_files_private() -> None:
    """Makes files that this process and its children make from now on the owner's alone, whatever the shell's umask.

    For those that others write for us: SQLite's, logs, memory maps. Windows: no effect, rights come from the directory.
    """
    os.umask(0o077)


def write_private(path: Path, data: bytes) -> None:
    """Replaces a file by one that only its owner can read (0600; Windows: by the directory), durably: all of it or
    nothing. Raises ConfigError where a folder has its name."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; expected a file. Move it away, and start again.")
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    fsync_directory(path.parent)


def is_private(path: Path) -> bool:
    """Says whether nobody but the owner has any right to it. Windows: always true, see `make_private_directory`."""
    return IS_WINDOWS or path.stat().st_mode & 0o077 == 0


def write_out(file: IO[bytes], offset: int, length: int) -> None:
    """Makes the system begin to write out what is in [offset, offset + length), so that a later fsync has less to wait
    for, and let go of the memory of what is on the disk by now. A hint: systems without it do both when they like."""
    advise = getattr(os, "posix_fadvise", None)
    if advise is not None:
        # On Linux this starts the writing of pages that are dirty, and drops the others.
        advise(file.fileno(), offset, length, os.POSIX_FADV_DONTNEED)


def replace(source: Path, target: Path, attempts: int = 10) -> None:
    """Renames a file over whatever is there.

    Windows refuses while another process, such as a virus scanner, has the target open: tried again for 0.5 s.
    """
    for attempt in range(attempts):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if not IS_WINDOWS or attempt == attempts - 1:
                raise
            time.sleep(0.05)


def fsync_directory(path: Path) -> None:
    """Makes a rename in this directory durable. Windows cannot open a directory; NTFS journals the rename."""
    if IS_WINDOWS:
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_freed_memory(most: int) -> bool:
    """Makes the C library keep up to `most` bytes that were freed, for the next frame of a transfer; returns whether it
    will. By default glibc gives memory of frames back to the system each time, which then has to clear it anew."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING) and mallopt(_M_TRIM_THRESHOLD, most))


def limit_memory(limit: int) -> bool:
    """Caps this process's address space, in bytes; returns whether the system can.

    Windows has no such call (a job object would do it), macOS ignores it: false, and the caller's own size
    checks are what is left.
    """
    if _resource is None or sys.platform == "darwin":
        return False
    _soft, hard = _resource.getrlimit(_resource.RLIMIT_AS)
    soft = limit if hard == _resource.RLIM_INFINITY else min(limit, hard)
    _resource.setrlimit(_resource.RLIMIT_AS, (soft, hard))
    return True


def allow_open_files(wanted: int) -> int | None:
    """Raises this process's limit of open files towards `wanted`, where the system lets it; returns what holds then."""
    if _resource is None:
        return None
    soft, hard = _resource.getrlimit(_resource.RLIMIT_NOFILE)
    unlimited = _resource.RLIM_INFINITY
    if soft != unlimited and soft < wanted:
        # macOS takes no more than a number of its own, whatever the hard limit says.
        with contextlib.suppress(ValueError, OSError):
            _resource.setrlimit(_resource.RLIMIT_NOFILE, (wanted if hard == unlimited else min(wanted, hard), hard))
    return open_files_limit()


def open_files_limit() -> int | None:
    """Says how many files and connections this process may have open at once; None: as many as it likes."""
    if _resource is None:
        return None
    soft, _hard = _resource.getrlimit(_resource.RLIMIT_NOFILE)
    return None if soft == _resource.RLIM_INFINITY else soft


def limit_cpu(seconds: float, on_exceeded: Callable[[], None]) -> bool:
    """Calls `on_exceeded` once this process has used `seconds` more of processor time; returns whether it will.

    It runs in the main thread between two instructions, and may raise. A second call replaces the first.
    Windows has no such timer: false, and a limit on the clock is what is left.
    """
    number = getattr(signal, "SIGPROF", None)
    if number is None:
        return False

    def handle(_signal: int, _frame: object) -> None:
        on_exceeded()

    signal.signal(number, handle)
    # A timer counts from now. RLIMIT_CPU counts from the process's start and in ticks, of which a busy machine misses
    # so many that an old process would get seconds more than it is given.
    signal.setitimer(signal.ITIMER_PROF, seconds)
    return True


def on_stop_request(handler: Callable[[], None]) -> None:
    """Calls `handler` for SIGTERM and SIGINT (Ctrl-C), and SIGBREAK on Windows, which has no SIGTERM from outside.

    The handler runs in the main thread between two instructions: it should only set a flag.
    """

    def handle(_signal: int, _frame: object) -> None:
        handler()

    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, handle)


def dump_stacks_on_request() -> bool:
    """Lets `request_stacks` work on this process: from then on the signal writes the stacks of all threads to standard
    error, also while C code keeps Python's lock. Returns whether the system can; Windows has no such signal."""
    number = getattr(signal, "SIGUSR1", None)
    register = getattr(faulthandler, "register", None)
    if number is None or register is None:
        return False
    register(number, all_threads=True, chain=False)
    return True


def request_stacks(pid: int) -> bool:
    """Makes a process that called `dump_stacks_on_request` write its stacks; returns whether it was asked. One that did
    not call it would be ended by the signal."""
    number = getattr(signal, "SIGUSR1", None)
    if number is None:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def detached_process_options() -> dict[str, Any]:
    """Returns the keyword arguments for `subprocess.Popen` so that the child outlives this process and its terminal."""
    if IS_WINDOWS:
        flags = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        return {"creationflags": flags}
    return {"start_new_session": True}
