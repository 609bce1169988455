# SPDX-License-Identifier: Apache-2.0
"""The doctor: readable, its exit code tells, and its job is a real one."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import server.commands.doctor.checks as checks
import server.commands.doctor.command as doctor_module
from server.__main__ import app
from server.commands.doctor.command import exit_code
from server.commands.doctor.findings import Finding, Grade, failure, ok, warning
from server.commands.doctor.job import check_job
from server.config import ServerPaths
from server.storage.named_files import NamedFile, NamedFiles
from server.storage.quarantine import Quarantine
from tests.pgc.rendering.raster import fake_nvdiffrast
from tests.warm.popen import warm

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def paths(tmp_path):
    root = tmp_path / "data"
    root.mkdir(mode=0o700)
    return ServerPaths(root)


@pytest.fixture
def found(monkeypatch):
    """Sets what the checks find."""

    def set_up(*findings: Finding):
        monkeypatch.setattr(doctor_module, "run_checks", lambda paths: iter(findings))

    return set_up


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([ok("a", "x")], 0),
        ([ok("a", "x"), warning("b", "y", "do this")], 1),
        ([failure("c", "z", "do that"), warning("b", "y", "do this")], 2),
    ],
)
def test_the_exit_code_tells(found, tmp_path, findings, code):
    found(*findings)
    assert exit_code(findings) == code
    text = CliRunner().invoke(app, ["doctor", "--no-job", "--data", str(tmp_path)])
    assert text.exit_code == code
    for finding in findings:
        assert finding.text in text.output
        assert finding.hint in text.output
    as_json = CliRunner().invoke(app, ["doctor", "--no-job", "--json", "--data", str(tmp_path)])
    assert as_json.exit_code == code
    report = json.loads(as_json.stdout)
    assert report["exit_code"] == code
    assert [entry["name"] for entry in report["findings"]] == [finding.name for finding in findings]


def test_the_checks_pass_on_a_healthy_directory_and_change_nothing(paths):
    before = sorted(paths.root.rglob("*"))
    findings = {finding.name: finding for finding in checks.run_checks(paths)}
    assert sorted(paths.root.rglob("*")) == before
    for name in ("python", "zmq", "rights", "journal", "models"):
        assert findings[name].grade is Grade.OK, findings[name]
    assert set(findings) >= {"torch", "rasterizer", "port", "transfer", "disk", "clock", "ray"}


def test_a_check_that_breaks_is_a_failure_and_the_others_go_on(paths):
    def check_bad(paths):
        raise ZeroDivisionError("boom")

    bad, good = checks.run_checks(paths, (check_bad, checks.check_clock))
    assert bad.grade is Grade.FAILURE
    assert bad.name == "bad"
    assert "boom" in bad.text
    assert good.grade is Grade.OK


@pytest.mark.skipif(sys.platform == "win32", reason="rights come from the directory on Windows")
def test_files_that_others_can_read_are_found(paths):
    paths.keys.mkdir()
    key = paths.keys / "server.json"
    key.write_text("{}")
    key.chmod(0o644)
    paths.keys.chmod(0o700)
    finding = checks.check_rights(paths)
    assert finding.grade is Grade.FAILURE
    assert "server.json" in finding.text


def test_a_damaged_journal_is_found(paths):
    with sqlite3.connect(paths.journal) as database:
        database.execute("CREATE TABLE t (x)")
    database.close()
    assert checks.check_journal(paths).grade is Grade.OK
    damaged = paths.journal.read_bytes().replace(b"CREATE TABLE t", b"CREATE \xd2ABLE t")
    paths.journal.write_bytes(damaged)  # SQLite quotes the word in its error, which Python cannot decode.
    assert checks.check_journal(paths).grade is Grade.FAILURE
    paths.journal.write_bytes(b"no database at all " * 100)
    assert checks.check_journal(paths).grade is Grade.FAILURE


def test_a_clock_of_the_past_is_found(paths, monkeypatch):
    monkeypatch.setattr(checks.time, "time", lambda: 1e9)
    assert checks.check_clock(paths).grade is Grade.WARNING


def test_an_open_ray_is_found(paths, monkeypatch):
    """CVE-2023-48022 (ShadowRay): whoever reaches Ray runs code."""
    monkeypatch.setattr(checks.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(checks.importlib.metadata, "version", lambda name: "2.60")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    assert checks.check_ray(paths).grade is Grade.WARNING
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert checks.check_ray(paths).grade is Grade.OK


def _cards(monkeypatch, there: bool):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)


def test_what_draws_the_views_is_said_with_its_licence(paths, monkeypatch):
    _cards(monkeypatch, there=True)
    assert checks.check_rasterizer(paths).text == "Warp (Apache-2.0); nvdiffrast is not installed, and not needed"
    fake_nvdiffrast.install(monkeypatch)
    finding = checks.check_rasterizer(paths)
    assert finding.grade is Grade.OK
    assert finding.text.startswith("nvdiffrast; its licence allows research and evaluation only, no commercial use")
    assert finding.text.endswith("pgc-server start --rasterizer warp")
    _cards(monkeypatch, there=False)
    assert "draws on NVIDIA cards alone" in checks.check_rasterizer(paths).text


def test_an_nvdiffrast_that_does_not_work_is_a_warning(paths, monkeypatch):
    def broken(device):
        raise ImportError("undefined symbol: _ZN3c10")

    _cards(monkeypatch, there=True)
    fake_nvdiffrast.install(monkeypatch, broken)
    finding = checks.check_rasterizer(paths)
    assert finding.grade is Grade.WARNING
    assert finding.text.startswith("Warp is used. nvdiffrast is installed but does not work (undefined symbol")


@pytest.mark.slow
@warm()
def test_the_tiny_job_really_runs():
    finding = check_job("cpu")
    assert finding.grade is Grade.OK, finding
    assert "1 map fetched" in finding.text


@pytest.mark.slow
@warm()
def test_a_device_that_is_not_there_fails_the_job():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    finding = check_job("cuda")
    assert finding.grade is Grade.FAILURE
    assert "finds no cuda device" in finding.text


def _as_on_a_fresh_machine(home, *arguments):
    """The command in a process, for a user whose home is empty, from a folder that has nothing to do with it."""
    home.mkdir(exist_ok=True)
    folders = {"HOME": home, "USERPROFILE": home, "LOCALAPPDATA": home, "XDG_DATA_HOME": home / "data"}
    folders |= {"XDG_CACHE_HOME": home / "cache", "XDG_CONFIG_HOME": home / "config", "XDG_RUNTIME_DIR": home / "run"}
    kept = {
        name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TMPDIR", "OMP_NUM_THREADS") if name in os.environ
    }
    environment = kept | {name: str(path) for name, path in folders.items()} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "server", "doctor", *arguments]
    return subprocess.run(
        command, env=environment, cwd=home, capture_output=True, text=True, timeout=250, check=False, encoding="utf-8"
    )


@pytest.mark.slow
@pytest.mark.timeout(270)
def test_a_fresh_machine_is_well_and_nothing_of_a_server_stays(tmp_path):
    """No server was ever started: readable, the exit code tells, and the last check is a job that was really run."""
    home = tmp_path / "artist"
    result = _as_on_a_fresh_machine(home)
    *checks_made, job, summary = [line for line in result.stdout.splitlines() if "→" not in line]
    assert job.startswith("ok       Job on "), result.stdout + result.stderr
    assert "1 map fetched and checked" in job
    assert len(checks_made) == len(checks.CHECKS)
    # A machine that runs tests may be too busy for two of the checks; none may fail.
    graded = {line[9:].partition(":")[0]: line[:7].strip() for line in checks_made}
    warned = {title for title, grade in graded.items() if grade == "warning"}
    assert warned <= {"Transfer speed", "Disk"}
    assert "FAILURE" not in graded.values()
    assert result.returncode == (1 if warned else 0)
    assert summary.startswith("The server can run, with" if warned else "All is well.")
    assert "Traceback" not in result.stdout + result.stderr
    assert [path.name for path in home.iterdir() if path.name != "cache"] == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="rights come from the directory there")
def test_what_is_broken_says_what_to_do_and_the_exit_code_is_2(tmp_path):
    data = tmp_path / "data"
    (data / "keys").mkdir(parents=True)
    (data / "keys" / "server.json").write_text("{}")
    (data / "keys" / "server.json").chmod(0o644)
    (data / "journal.sqlite").write_bytes(b"no database at all " * 100)
    result = _as_on_a_fresh_machine(tmp_path / "artist", "--no-job", "--data", str(data))
    assert result.returncode == 2
    lines = result.stdout.splitlines()
    failed = [index for index, line in enumerate(lines) if line.startswith("FAILURE")]
    assert len(failed) == 2
    assert all("→" in lines[index + 1] for index in failed)
    assert "chmod" in lines[failed[0] + 1]
    assert lines[-1].startswith("2 checks of 13 failed")


def test_a_card_that_torch_cannot_use_is_a_warning_with_what_to_install(monkeypatch, tmp_path):
    why = "This machine has an NVIDIA card, but its driver is too old; update the driver"
    monkeypatch.setattr("pgc.devices.unused_accelerator", lambda: why)
    finding = checks.check_torch(ServerPaths(tmp_path))
    assert finding.grade is Grade.WARNING
    assert finding.text == "This machine has an NVIDIA card, but its driver is too old."
    assert finding.hint == "Update the driver"


def test_what_was_set_aside_is_shown_with_its_place(paths):
    assert checks.check_quarantine(paths) == ok("quarantine", "nothing was set aside")
    (paths.root / "lost").write_bytes(bytes(3 << 20))
    Quarantine(paths).take(paths.root / "lost", "nobody knows it")
    found = checks.check_quarantine(paths)
    assert found.grade is Grade.WARNING
    assert found.text.startswith("1 file set aside (3.0 MiB, once); reasons.txt in ")
    assert str(paths.quarantine) in found.text
    assert "30 days" in found.hint
    assert checks.check_quarantine in checks.CHECKS


def test_notes_alone_are_nothing_that_was_set_aside(paths):
    Quarantine(paths).note("the journal was restored")
    assert checks.check_quarantine(paths).grade is Grade.OK


def test_named_files_that_are_gone_are_a_warning_with_what_to_do(paths):
    files = NamedFiles(paths.models)
    files.add(NamedFile("normal", "mine", "/nas/" + "x" * 300))
    found = checks.check_models(paths)
    assert (found.grade, "normal mine" in found.text) == (Grade.WARNING, True)
    assert "models forget normal mine" in found.hint
    shown = CliRunner().invoke(app, ["models", "list", "--data", str(paths.root)])
    assert (shown.exit_code, "(missing)" in shown.output) == (0, True), shown.output
    (paths.models / "named.json").write_text("{}")
    assert "named.json is damaged" in checks.check_models(paths).text
