# SPDX-License-Identifier: Apache-2.0
"""The environments of `tests.benchmarks.hostile_environments`: what people's machines are like."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

__all__ = ["MACHINES", "Cell", "How", "Machine", "Place"]

_POSIX = os.name == "posix"
_ROOT_USER = _POSIX and os.getuid() == 0
_NO_LEAVE = "--bounding-set=-dac_override,-dac_read_search"
"""Root without these must keep to rights as everybody does."""


@dataclass(frozen=True)
class Place:
    """Inputs that all cells share."""

    folder: Path
    mesh: Path
    run: Path

    def cell(self, name: str) -> Cell:
        """Folders of one cell's own."""
        folder = self.folder / name
        for part in ("home", "work", "tmp"):
            (folder / part).mkdir(parents=True)
        return Cell(place=self, folder=folder)


@dataclass(frozen=True)
class Cell:
    """Where one command runs."""

    place: Place
    folder: Path

    def names(self) -> dict[str, str]:
        """What the commands' placeholders stand for."""
        return {
            "mesh": str(self.place.mesh),
            "run": str(self.place.run),
            "data": str(self.folder / "home" / "data"),
            "out": str(self.folder / "work" / "out"),
            "taken": str(_taken_port()),
        }


@cache
def _listener() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


def _taken_port() -> int:
    return int(_listener().getsockname()[1])


@dataclass
class How:
    """How a process is started."""

    environment: dict[str, str]
    folder: Path
    wrapper: Sequence[str] = ()
    stdout: int = subprocess.PIPE
    stderr: int = subprocess.PIPE
    before: Callable[[], None] | None = None
    finished: Callable[[], None] = lambda: None


def _always() -> bool:
    return _POSIX


def _with_unshare() -> bool:
    if not _ROOT_USER or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0


def _with_rights() -> bool:
    return _POSIX and (not _ROOT_USER or shutil.which("setpriv") is not None)


def _with_localedef() -> bool:
    return _POSIX and shutil.which("localedef") is not None and Path("/usr/share/i18n/locales/de_DE").is_file()


@dataclass(frozen=True)
class Machine:
    """An environment. `change` turns an ordinary start into one of this environment; encoding: of its output."""

    name: str
    change: Callable[[How, Cell], None]
    encoding: str = "utf-8"
    possible: Callable[[], bool] = field(default=_always)
    silent: bool = False
    """What goes to standard output is lost, such as the help that a program without arguments shows."""

    @contextmanager
    def prepared(self, cell: Cell) -> Iterator[How]:
        """How to start a process there; what was opened for it is closed at the end."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        home = cell.folder / "home"
        how = How({**kept, "HOME": str(home), "TMPDIR": str(cell.folder / "tmp")}, cell.folder / "work")
        self.change(how, cell)
        try:
            yield how
        finally:
            how.finished()


def _variables(**values: str) -> Callable[[How, Cell], None]:
    def change(how: How, cell: Cell) -> None:
        how.environment.update(values)

    return change


def _no_home(how: How, cell: Cell) -> None:
    del how.environment["HOME"]
    how.environment["XDG_DATA_HOME"] = str(cell.folder / "home")


def _odd_home(how: How, cell: Cell) -> None:
    home = cell.folder / "Jörg O'Neill 彩 \U0001f409"
    for part in ("cache", "data", "tmp dir"):
        (home / part).mkdir(parents=True)
    how.environment.update(HOME=str(home), TMPDIR=str(home / "tmp dir"))
    how.folder = home


def _odd_home_in_ascii(how: How, cell: Cell) -> None:
    _odd_home(how, cell)
    how.environment.update(PYTHONIOENCODING="cp1252", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")


def _locked(**modes: int) -> Callable[[How, Cell], None]:
    """Folders of the cell with these rights, for somebody who must keep to them."""

    def change(how: How, cell: Cell) -> None:
        for name, mode in modes.items():
            (cell.folder / name).chmod(mode)
        how.wrapper = ("setpriv", _NO_LEAVE, "--inh-caps=-dac_override,-dac_read_search") if _ROOT_USER else ()
        how.finished = lambda: [(cell.folder / name).chmod(0o755) for name in modes] and None

    return change


def _no_temporary(how: How, cell: Cell) -> None:
    how.environment["TMPDIR"] = str(cell.folder / "not" / "there")


def _mounted(how: How, cell: Cell, *mounts: str) -> None:
    script = " && ".join([*mounts, 'exec "$@"'])
    how.wrapper = ("unshare", "-m", "sh", "-c", script, "sh")


def _full_disk(how: How, cell: Cell) -> None:
    """Home, working folder and temporary files lie on a disk of 64 KiB."""
    mount = f"mount -t tmpfs -o size=64k tmpfs '{cell.folder}'"
    _mounted(how, cell, mount, f"mkdir -p '{cell.folder}/home' '{cell.folder}/work' '{cell.folder}/tmp'")
    # The folder that the process works in lies under the mount otherwise.
    how.folder = cell.place.folder


def _no_shared_memory(how: How, cell: Cell) -> None:
    _mounted(how, cell, "mount -t tmpfs -o ro tmpfs /dev/shm")


def _few_files(how: How, cell: Cell) -> None:
    def before() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    how.before = before


def _small_files(how: How, cell: Cell) -> None:
    def before() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))

    how.before = before


def _gone_folder(how: How, cell: Cell) -> None:
    gone = cell.folder / "gone"

    def before() -> None:
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()

    how.before = before


def _shadows(how: How, cell: Cell) -> None:
    for name in ("json", "torch", "typer", "numpy", "server", "random", "zmq", "secrets"):
        (cell.folder / "work" / f"{name}.py").write_text("raise SystemExit('the wrong one')\n")


def _closed(*numbers: int) -> Callable[[How, Cell], None]:
    def change(how: How, cell: Cell) -> None:
        how.before = lambda: [os.close(number) for number in numbers] and None

    return change


def _reader_gone(how: How, cell: Cell) -> None:
    how.stdout = _unread(how)


def _reader_of_errors_gone(how: How, cell: Cell) -> None:
    how.stderr = _unread(how)


def _errors_full(how: How, cell: Cell) -> None:
    how.stderr = _full(how)


def _unread(how: How) -> int:
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    how.finished = functools.partial(os.close, writer)
    return writer


def _full_output(how: How, cell: Cell) -> None:
    how.stdout = _full(how)


def _full(how: How) -> int:
    number = os.open("/dev/full", os.O_WRONLY)
    how.finished = functools.partial(os.close, number)
    return number


_COMMA = """import locale
locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
assert locale.localeconv()["decimal_point"] == ","
"""


def _comma(how: How, cell: Cell) -> None:
    """A program whose host set the locale, as Blender and Qt do."""
    folder = cell.folder / "locales"
    folder.mkdir()
    subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")], check=False, capture_output=True
    )
    (folder / "sitecustomize.py").write_text(_COMMA)
    how.environment.update(LOCPATH=str(folder), LC_ALL="de_DE.UTF-8", PYTHONPATH=str(folder))


MACHINES: tuple[Machine, ...] = (
    Machine("cp1252 output", _variables(PYTHONIOENCODING="cp1252"), "cp1252"),
    Machine("ASCII output", _variables(PYTHONIOENCODING="ascii"), "utf-8"),
    Machine("locale C", _variables(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")),
    Machine("home with other letters, cp1252", _odd_home_in_ascii, "cp1252"),
    Machine("standard output closed", _closed(1), silent=True),
    Machine("input and output closed", _closed(0, 1), silent=True),
    Machine("reader gone", _reader_gone, silent=True),
    Machine("reader of errors gone", _reader_of_errors_gone, silent=True),
    Machine("errors full", _errors_full, possible=lambda: Path("/dev/full").exists(), silent=True),
    Machine("standard error closed", _closed(2), silent=True),
    Machine("output full", _full_output, possible=lambda: Path("/dev/full").exists(), silent=True),
    Machine("comma locale", _comma, possible=_with_localedef),
    Machine("home with other letters", _odd_home),
    Machine("no HOME", _no_home),
    Machine("home not writable", _locked(home=0o555), possible=_with_rights),
    Machine("home and folder locked", _locked(home=0, work=0o555), possible=_with_rights),
    Machine("no temporary folder", _no_temporary),
    Machine("working folder not writable", _locked(work=0o555), possible=_with_rights),
    Machine("working folder gone", _gone_folder),
    Machine("modules of the same names here", _shadows),
    Machine("20 columns", _variables(COLUMNS="20")),
    Machine("dumb terminal", _variables(TERM="dumb", NO_COLOR="1")),
    Machine("disk full", _full_disk, possible=_with_unshare),
    Machine("no shared memory", _no_shared_memory, possible=_with_unshare),
    Machine("64 open files", _few_files),
    Machine("files of 2 KiB", _small_files),
)
