# SPDX-License-Identifier: Apache-2.0
"""Workers on the CPU go behind other programs, where the server was told so."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from server.__main__ import app
from server.children import priority
from server.commands.start import _arguments
from server.config import ServerConfig, ServerPaths
from tests.server.children import FakeBroker

ROOT = Path(__file__).resolve().parents[2]
LOWER = (
    "import os, sys; from pathlib import Path; from server.children.priority import lower_priority\n"
    "os.nice(int(sys.argv[1])); print(lower_priority(Path(sys.argv[2])), lower_priority(Path(sys.argv[2])))"
)
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has priority classes")


def lowered(from_nice: int, autogroup: Path) -> list[int]:
    """What two calls say in a process of its own, since nobody may raise a priority again."""
    command = [sys.executable, "-c", LOWER, str(from_nice), str(autogroup)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, start_new_session=True)
    return [int(word) for word in result.stdout.split()]


@posix
def test_a_process_and_its_session_go_behind_others(tmp_path: Path) -> None:
    autogroup = tmp_path / "autogroup"
    assert lowered(max(0, 5 - psutil.Process().nice()), autogroup) == [10, 10]
    assert autogroup.read_text() == "10\n"


@posix
def test_who_is_further_behind_stays_there_and_a_system_without_autogroups_is_fine(tmp_path: Path) -> None:
    assert lowered(15 - psutil.Process().nice(), tmp_path / "missing" / "autogroup") == [15, 15]


def test_windows_has_a_class_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: list[int] = []

    class Process:
        def nice(self, value: int | None = None) -> int:
            given.extend([] if value is None else [value])
            return given[-1]

    monkeypatch.setattr(priority.psutil, "BELOW_NORMAL_PRIORITY_CLASS", 0x4000, raising=False)
    monkeypatch.setattr(priority.psutil, "Process", Process)
    assert priority.lower_priority(tmp_path / "autogroup") == 0x4000
    assert given == [0x4000]
    assert not (tmp_path / "autogroup").exists()


@pytest.mark.parametrize("low", [True, False])
def test_a_detached_server_is_told_the_same(low: bool, tmp_path: Path) -> None:
    config = ServerConfig(paths=ServerPaths(tmp_path), low_priority=low)
    assert ("--low-priority" in _arguments(config)) is low


@pytest.mark.parametrize(
    ("options", "variables", "low"),
    [
        ([], {}, False),
        (["--low-priority"], {}, True),
        ([], {"PGC_SERVER_LOW_PRIORITY": "1"}, True),
        ([], {"PGC_SERVER_LOW_PRIORITY": "0"}, False),
    ],
)
def test_it_is_told_by_an_option_or_by_what_older_versions_do_not_read(
    options: list[str], variables: dict[str, str], low: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[ServerConfig] = []

    def run(config: ServerConfig, until_eof: bool) -> int:
        given.append(config)
        return 0

    monkeypatch.setattr("server.commands.start._run", run)
    result = CliRunner().invoke(app, ["start", "--data", str(tmp_path), *options], env=variables)
    assert result.exit_code == 0, result.output
    assert given[0].low_priority is low


@posix
@pytest.mark.slow
@pytest.mark.parametrize(("low", "nice"), [(True, 10), (False, None)])
def test_a_worker_does_as_its_settings_say(low: bool, nice: int | None, tmp_path: Path) -> None:
    here = psutil.Process().nice()
    broker = FakeBroker(ServerPaths(tmp_path), "worker", low_priority=low)
    try:
        assert psutil.Process(broker.child.pid).nice() == (here if nice is None else max(here, nice))
    finally:
        broker.close()
