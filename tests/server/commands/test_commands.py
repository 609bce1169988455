# SPDX-License-Identifier: Apache-2.0
"""The commands, from the command line on, against a server that really runs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from blender_addon.protocol.messages import Cancel, JobInfo, JobState, ListJobs, Pause, Resume, StatusReport, Welcome
from server.__main__ import app
from server.commands import status as status_command
from server.config import ServerPaths
from server.storage.connection import Connection, read_connection
from server.storage.quarantine import Quarantine

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command as a person runs it."""
    return subprocess.run(
        [sys.executable, "-m", "server", *arguments], capture_output=True, text=True, timeout=90, cwd=ROOT, check=False
    )


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    yield str(folder)
    run("stop", "--now", "--data", str(folder))


@pytest.mark.slow
def test_a_server_starts_detached_says_so_and_stops(data):
    started = run("start", "--detach", "--data", data, "--device", "cpu")
    assert started.returncode == 0, started.stderr
    (line,) = started.stdout.splitlines()
    connection = read_connection(ServerPaths(Path(data)).connection)
    assert f"ports {connection.ctl_port} and {connection.bulk_port}" in line

    again = run("start", "--detach", "--data", data)
    assert again.returncode == 2
    assert "running already" in again.stderr
    foreground = run("start", "--data", data)
    assert foreground.returncode != 0
    assert "stop" in foreground.stderr, "the lock holds for a start that skips the question too"

    status = CliRunner().invoke(app, ["status", "--data", data])
    assert status.exit_code == 0, status.output
    assert "0 running, 0 waiting" in status.output
    # It takes jobs from the start, and is ready once its worker is.
    deadline, state = time.monotonic() + 60, ""
    while state != "ready" and time.monotonic() < deadline:
        state = json.loads(CliRunner().invoke(app, ["status", "--data", data, "--json"]).stdout)["state"]
    assert state == "ready"
    assert "There are no jobs" in CliRunner().invoke(app, ["jobs", "--data", data]).output
    unknown = CliRunner().invoke(app, ["jobs", "--data", data, "--cancel", "abc"])
    assert unknown.exit_code == 2
    assert "0 jobs begin with" in unknown.output
    logs = CliRunner().invoke(app, ["logs", "--data", data])
    assert logs.exit_code == 0, logs.output
    assert "info" in logs.output

    stopped = run("stop", "--data", data)
    assert stopped.returncode == 0, stopped.stderr
    assert "has stopped" in stopped.stdout
    assert not ServerPaths(Path(data)).connection.exists()


def test_without_a_server_commands_say_what_to_do(tmp_path):
    for command in (["status"], ["jobs"]):
        result = CliRunner().invoke(app, [*command, "--data", str(tmp_path)])
        assert result.exit_code == 2
        assert "pgc-server start" in result.output
    stopped = CliRunner().invoke(app, ["stop", "--data", str(tmp_path)])
    assert stopped.exit_code == 0
    assert "No server is running" in stopped.output


def test_a_connection_file_of_a_dead_server_is_no_server(tmp_path):
    from server.storage.connection import Connection, write_connection

    paths = ServerPaths(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead = Connection((1, 0), "127.0.0.1", 1, 2, "x" * 40, "x" * 40, "x" * 40, process.pid, "0" * 32)
    write_connection(paths.connection, dead)
    assert "No server is running" in CliRunner().invoke(app, ["stop", "--data", str(tmp_path)]).output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--listen", "0.0.0.0"], "stands for every network"),
        (["--listen", "::"], "stands for every network"),
        (["--listen", "example.org"], "is no IP address"),
        (["--device", "tpu"], "expected one of auto, cpu, cuda"),
        (["--rasterizer", "opengl"], "expected one of auto, warp, nvdiffrast"),
        (["--workers", "0"], "expected 1 to 64"),
        (["--port", "70000"], "65535"),
        (["--detach", "--until-eof"], "exclude each other"),
        (["--disk-floor", "-1"], "--disk-floor is -1; expected GiB, 0 or more."),
        (["--disk-floor", "nan"], "--disk-floor is nan; expected GiB, 0 or more."),
        (["--disk-floor", "inf"], "--disk-floor is inf; expected GiB, 0 or more."),
    ],
)
def test_start_refuses_what_cannot_be(tmp_path, arguments, said):
    """A wildcard address: the mistake behind the exposed servers of ShadowRay (CVE-2023-48022)."""
    result = CliRunner().invoke(app, ["start", "--data", str(tmp_path), *arguments])
    assert result.exit_code == 2
    assert said in result.output


def test_logs_are_merged_in_order_of_time_and_searched(tmp_path):
    paths = ServerPaths(tmp_path)
    paths.logs.mkdir()
    lines = [
        {"ts": f"2026-01-0{day}T00:00:00.000Z", "lvl": "info", "msg": f"day {day}", "err_id": f"e{day}"}
        for day in (1, 2, 3)
    ]
    lines[2]["trace"] = "Traceback: deep down"
    (paths.logs / "server.jsonl").write_text("\n".join(json.dumps(lines[i]) for i in (0, 2)) + '\n{"ts": "2026-')
    (paths.logs / "worker-0.jsonl").write_text(json.dumps(lines[1]) + "\n")
    shown = CliRunner().invoke(app, ["logs", "--data", str(tmp_path)]).output
    assert shown.index("day 1") < shown.index("day 2") < shown.index("day 3")
    assert "deep down" in shown
    found = CliRunner().invoke(app, ["logs", "e2", "--data", str(tmp_path)]).output
    assert "day 2" in found
    assert "day 1" not in found
    assert CliRunner().invoke(app, ["logs", "nothing", "--data", str(tmp_path)]).exit_code == 2


@pytest.mark.slow
def test_a_start_until_the_end_of_input_ends_with_it(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "server", "start", "--data", str(tmp_path / "d"), "--device", "cpu", "--until-eof"],
        stdin=subprocess.PIPE,
        cwd=ROOT,
    )
    process.stdin.close()
    assert process.wait(60) == 0


@pytest.fixture
def known_jobs(monkeypatch):
    """What a server that is not there would list."""
    known = [
        JobInfo(
            "a1" * 16, "1" * 32, JobState.RUNNING, step=3, steps=100_000, name="[/red]\x1b[2J wall", owner="laptop"
        ),
        JobInfo("b2" * 16, "2" * 32, JobState.QUEUED, name="mine", owner="local"),
    ]
    asked = []

    class Listing:
        def __enter__(self):
            return self

        def __exit__(self, *_error):
            pass

        def jobs(self):
            return tuple(known)

        def ask(self, message, expected):
            asked.append(message)
            return expected()

    monkeypatch.setattr(status_command.Admin, "open", lambda _paths: Listing())
    return asked


def test_the_owner_of_the_machine_sees_whose_jobs_there_are(known_jobs, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    listed = CliRunner().invoke(app, ["jobs"]).output
    assert "laptop" in listed
    assert "local" in listed
    assert "3 of 100000" in listed
    assert "laptop" not in CliRunner().invoke(app, ["jobs", "--user", "local"]).output
    assert "There are no jobs" in CliRunner().invoke(app, ["jobs", "--user", "nobody"]).output
    assert known_jobs == []


def test_a_guests_words_are_shown_as_they_are_and_steer_no_terminal(known_jobs, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    listed = CliRunner().invoke(app, ["jobs"])
    assert listed.exit_code == 0, listed.output
    assert "[/red]" in listed.output
    assert "\x1b" not in listed.output


@pytest.mark.parametrize(("option", "kind"), [("--cancel", Cancel), ("--pause", Pause), ("--resume", Resume)])
def test_a_guests_job_is_ended_paused_and_resumed_by_the_beginning_of_its_id(known_jobs, option, kind):
    assert CliRunner().invoke(app, ["jobs", option, "a1"]).exit_code == 0
    assert known_jobs == [kind("a1" * 16)]


def test_an_older_server_is_asked_for_what_it_knows():
    """A server of 1.0 would refuse nothing, and list the admin's own jobs, whatever it is asked for."""
    admin = status_command.Admin(Connection((1, 0), "127.0.0.1", 1, 2, "x", "x", "x", 1, "0" * 32))
    asked = []
    admin.ask = lambda message, expected: asked.append(message) or expected()
    try:
        for minor in (0, 1):
            admin.welcome = Welcome((1, minor), "pgc-server", "3" * 32, 1)
            admin.jobs()
    finally:
        admin.close()
    assert asked == [ListJobs(), ListJobs(all_users=True)]


def test_a_detached_server_gets_the_same_floor():
    from server.commands.start import _arguments
    from server.config import GIB, QuotaConfig, ServerConfig

    assert "--disk-floor" not in _arguments(ServerConfig())
    arguments = _arguments(ServerConfig(quotas=QuotaConfig(disk_floor=round(0.3 * GIB))))
    given = float(arguments[arguments.index("--disk-floor") + 1])
    assert round(given * GIB) == round(0.3 * GIB)


def test_a_detached_server_draws_with_the_same():
    from server.commands.start import _arguments
    from server.config import ServerConfig

    for name in ("auto", "warp", "nvdiffrast"):
        arguments = _arguments(ServerConfig(rasterizer=name))
        assert arguments[arguments.index("--rasterizer") + 1] == name


@pytest.mark.parametrize(("free", "needed", "said"), [(3, 5, "below 5.0 GiB"), (6, 5, None)])
def test_status_says_that_the_disk_is_below_its_floor(free, needed, said):
    report = StatusReport(
        "pgc-server", "degraded", 1, 0, 0, 0, 0, disk_free=free << 30, facts={"disk_needed": needed * 2.0**30}
    )
    line = next(line for line in status_command._status_lines(report) if "disk" in line)
    assert f"disk {free}.0 GiB free" in line
    assert (said is None) == ("--disk-floor" not in line)
    assert said is None or said in line


def test_status_shows_what_was_set_aside(tmp_path, monkeypatch):
    report = StatusReport("pgc-server", "ready", 1, 0, 0, 0, 0)

    class Answering:
        def __enter__(self):
            return self

        def __exit__(self, *_error):
            pass

        def ask(self, _message, _expected):
            return report

    monkeypatch.setattr(status_command.Admin, "open", lambda _paths: Answering())
    arguments = ["status", "--data", str(tmp_path)]
    assert "aside" not in CliRunner().invoke(app, arguments).output
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(bytes(1 << 20))
        Quarantine(ServerPaths(tmp_path)).take(tmp_path / name, "unknown")
    shown = CliRunner().invoke(app, arguments).output
    assert "aside     2 files set aside (2.0 MiB, 2 times); reasons.txt in" in shown.replace("\n", " ")
    as_json = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)
    assert as_json["quarantine"] == {"folders": 2, "files": 2, "bytes": 2 << 20}
    assert as_json["state"] == "ready"
