# SPDX-License-Identifier: Apache-2.0
"""What differs between systems, and what is done where a system lacks the means."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from platform import libc_ver
from types import SimpleNamespace

import pytest

from server import platform
from server.errors import AlreadyRunningError

ROOT = Path(__file__).resolve().parents[2]


def test_only_one_process_holds_the_lock_and_its_end_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "server.lock"
    script = (
        "import sys; from pathlib import Path; from server.platform import InstanceLock\n"
        "lock = InstanceLock(Path(sys.argv[1])); lock.acquire(); print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(AlreadyRunningError, match="pgc-server stop"):
            platform.InstanceLock(path).acquire()
        process.kill()
    with platform.InstanceLock(path):
        pass
    with platform.InstanceLock(path):
        pass


def test_the_lock_by_msvcrt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    fake = SimpleNamespace(LK_NBLCK=2, locking=lambda _descriptor, mode, size: calls.append((mode, size)))
    monkeypatch.setattr(platform, "_fcntl", None)
    monkeypatch.setattr(platform, "_msvcrt", fake)
    with platform.InstanceLock(tmp_path / "lock"):
        assert calls == [(2, 1)]


def test_without_any_lock_the_server_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "_fcntl", None)
    monkeypatch.setattr(platform, "_msvcrt", None)
    with pytest.raises(AlreadyRunningError):
        platform.InstanceLock(tmp_path / "lock").acquire()


@pytest.mark.skipif(sys.platform == "win32", reason="modes mean nothing there")
def test_private_files_and_directories(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    platform.make_private_directory(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    old_mask = os.umask(0)
    try:
        platform.write_private(folder / "secret", b"one")
        platform.write_private(folder / "secret", b"two")
    finally:
        os.umask(old_mask)
    assert (folder / "secret").read_bytes() == b"two"
    assert stat.S_IMODE((folder / "secret").stat().st_mode) == 0o600
    assert platform.is_private(folder / "secret")
    (folder / "secret").chmod(0o640)
    assert not platform.is_private(folder / "secret")
    assert [path.name for path in folder.iterdir()] == ["secret"]


def test_windows_keeps_modes_and_directories_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "IS_WINDOWS", True)
    platform.make_private_directory(tmp_path / "data")
    platform.fsync_directory(tmp_path / "not there")
    (tmp_path / "open").write_bytes(b"")
    (tmp_path / "open").chmod(0o666)
    assert platform.is_private(tmp_path / "open")
    assert "creationflags" in platform.detached_process_options()


def test_a_rename_is_tried_again_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"new")
    refusals = [PermissionError(), PermissionError()]
    really = os.replace

    def replace(old, new) -> None:
        if refusals:
            raise refusals.pop()
        really(old, new)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(platform.time, "sleep", lambda _seconds: None)
    with pytest.raises(PermissionError):
        platform.replace(source, target)
    refusals.extend([PermissionError()] * 2)
    monkeypatch.setattr(platform, "IS_WINDOWS", True)
    platform.replace(source, target)
    assert target.read_bytes() == b"new"
    refusals.extend([PermissionError()] * 20)
    target.rename(source)
    with pytest.raises(PermissionError):
        platform.replace(source, target)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the limit")
def test_memory_can_be_capped() -> None:
    script = (
        "from server.platform import limit_memory\n"
        "assert limit_memory(512 << 20)\n"
        "try:\n    bytearray(1 << 30)\nexcept MemoryError:\n    print('capped')"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "capped\n", done.stderr


def test_without_limits_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "_resource", None)
    assert platform.limit_memory(1 << 30) is False


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal there")
def test_signals_ask_to_stop() -> None:
    script = (
        "import os, signal, time; from server.platform import on_stop_request\n"
        "asked = []\non_stop_request(lambda: asked.append(1))\n"
        "for name in ('SIGTERM', 'SIGINT'):\n    os.kill(os.getpid(), getattr(signal, name))\n"
        "time.sleep(0.01)\nprint(len(asked))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "2\n", done.stderr
    assert signal.getsignal(signal.SIGTERM) is not None


@pytest.mark.skipif(sys.platform == "win32", reason="see the test for Windows")
def test_a_detached_process_has_a_session_of_its_own() -> None:
    assert platform.detached_process_options() == {"start_new_session": True}


def test_what_is_being_written_out_stays_readable(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(b"x" * 100_000)
        file.flush()
        platform.write_out(file, 0, 100_000)
        file.write(b"y")
    assert path.read_bytes() == b"x" * 100_000 + b"y"


def test_without_the_systems_call_writing_goes_on_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    with (tmp_path / "file").open("wb") as file:
        platform.write_out(file, 0, 0)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").is_file() or libc_ver()[0] != "glibc", reason="glibc on Linux")
def test_freed_memory_is_kept() -> None:
    script = (
        "import sys, zmq; from server.platform import keep_freed_memory\n"
        "if sys.argv[1] == 'keep': assert keep_freed_memory(64 << 20)\n"
        "def pages(): return int(open('/proc/self/statm').read().split()[1])\n"
        "frames = [zmq.Frame(bytes(1 << 20), copy=True) for _ in range(20)]\n"
        "full = pages(); frames.clear(); print((full - pages()) * 4096)"
    )

    # Without what `make test` tells glibc.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}

    def given_back(how: str) -> int:
        command = [sys.executable, "-c", script, how]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
        return int(done.stdout)

    assert given_back("keep") < 2 << 20 < 15 << 20 < given_back("default")


def test_another_c_library_keeps_memory_as_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform.ctypes, "CDLL", lambda name: SimpleNamespace())
    assert not platform.keep_freed_memory(1 << 20)
    monkeypatch.setattr(platform.sys, "platform", "darwin")
    assert not platform.keep_freed_memory(1 << 20)


@pytest.mark.skipif(sys.platform == "win32", reason="rights come from the directory there")
def test_new_files_are_the_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "file"
    script = (
        "import sys; from pathlib import Path; from server.platform import keep_new_files_private\n"
        "keep_new_files_private(); Path(sys.argv[1]).write_bytes(b'')"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], cwd=ROOT, check=True, umask=0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
