# SPDX-License-Identifier: Apache-2.0
"""What starts Blender for the tests, with stand-ins for it: a script that says a version is Blender enough here."""

import json
import os
import signal
import socket
import sys

import pytest

from tests.blender import all_versions, forked
from tests.blender.blender_process import BlenderProcess, ProbeError, find_blender, probe_script

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")
PROBE = """
import os, sys, time
def double(number): return 2 * number
def fail(): raise ValueError("planted")
def sleep(): time.sleep(60)
def leave(): os._exit(0)
def where(): return os.environ["BLENDER_USER_RESOURCES"]
def by_whom(): return [open(f"/proc/{os.getppid()}/cmdline").read().split(chr(0)), "bpy" in sys.modules]
"""


@pytest.fixture(params=[False, True], ids=["forked", "started"])
def call(tmp_path, request):
    script = tmp_path / "probe.py"
    script.write_text(PROBE)

    def call(probe, limit=30.0, **arguments):
        blender = BlenderProcess(program=sys.executable, is_module=True)
        work = tmp_path / "work"
        return blender.call(script, probe, arguments, work=work, limit=limit, own_process=request.param)

    return call


@pytest.fixture
def stand_in(tmp_path):
    def make(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return make


def test_the_answer_comes_back(call, tmp_path):
    assert call("double", number=21) == 42
    assert call("where") == str(tmp_path / "work" / "resources")


@pytest.mark.blender
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks of a program with many libraries are Linux's")
def test_a_probe_is_forked_where_it_would_be_as_one_that_is_started(call, tmp_path, request, monkeypatch):
    parent, has_bpy = call("by_whom")
    forked = any(word.endswith("template.py") for word in parent)
    assert forked == has_bpy == request.node.name.endswith("[forked]")
    # What is read at the start may differ, and so may settings that are there already.
    monkeypatch.setenv("BLENDER_SYSTEM_SCRIPTS", str(tmp_path))
    assert not call("by_whom")[1]
    monkeypatch.undo()
    assert call("by_whom")[1] == forked
    (tmp_path / "work" / "resources" / "config").mkdir()
    assert not call("by_whom")[1]


@pytest.mark.blender
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks of a program with many libraries are Linux's")
@pytest.mark.parametrize("call", [False], indirect=True)
@pytest.mark.parametrize("end", ["interrupted", "template gone"])
def test_after_a_probe_that_was_left_the_next_one_has_its_own_answer(call, end):
    assert call("double", number=1) == 2
    forks = forked.forks_of(sys.executable)
    if end == "interrupted":
        # As pytest's time limit does it.
        def interrupt(_number, _frame):
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt):
            call("sleep", limit=20.0)
        signal.signal(signal.SIGALRM, before)
    else:
        forks.link.shutdown(socket.SHUT_RDWR)
        assert call("double", number=3) == 6, "it is started then"
    assert call("double", number=21) == 42
    assert forked.forks_of(sys.executable) is not forks


def test_a_probe_that_fails_says_what_it_printed(call):
    with pytest.raises(ProbeError, match=r"exit code 1(.|\n)*planted"):
        call("fail")


def test_a_probe_that_hangs_is_ended(call):
    with pytest.raises(ProbeError, match="was not done after 1 s"):
        call("sleep", limit=1.0)


def test_a_probe_without_an_answer_is_no_success(call):
    assert call("double", number=1) == 2
    with pytest.raises(ProbeError, match="exit code 0"):
        call("leave")


def test_the_program_gets_its_arguments_after_two_dashes(stand_in, tmp_path):
    program = stand_in("blender", f'for a; do last=$a; done; echo "[\\"$*\\"]" > "$last"; : {tmp_path}')
    said = BlenderProcess(program=program, is_module=False).call(
        tmp_path / "p.py", "probe", {}, work=tmp_path / "work", limit=30.0
    )
    assert json.dumps(said).count("--background") == 1
    assert said[0].split(" -- ")[1].startswith(str(tmp_path / "p.py"))


def test_the_program_comes_before_the_module():
    assert find_blender({"BLENDER_BIN": "/b", "PGC_BPY_PYTHON": "/p"}) == BlenderProcess(program="/b", is_module=False)
    assert find_blender({"PGC_BPY_PYTHON": "/p"}) == BlenderProcess(program="/p", is_module=True)


@pytest.mark.slow
def test_all_versions_are_found_once_and_the_oldest_first(stand_in, tmp_path, capsys):
    programs = [stand_in("b10", "echo Blender 10.0.1 LTS"), stand_in("b4", "echo noise; echo Blender 4.3.2")]
    pythons = [stand_in("p5", "echo @5.2.0 LTS"), stand_in("twin", "echo @5.2.0 LTS"), stand_in("none", "exit 1")]
    stand_in("venvs/4.1/bin/python", "echo @4.1.9")
    environment = {"PGC_BPY_PYTHONS": os.pathsep.join(pythons), "BLENDER_BINS": os.pathsep.join(programs)}
    found = all_versions.find(environment, tmp_path / "venvs")
    named = [one for one in found if one.blender.program != sys.executable]
    assert [one.version for one in named] == ["4.1.9", "4.3.2", "5.2.0", "10.0.1"]
    assert [one.blender.is_module for one in named] == [True, False, True, False]
    assert "none does not start" in capsys.readouterr().out


def test_the_table_keeps_what_it_says_of_other_versions(tmp_path):
    def result(version, line, failed=()):
        found = all_versions.Found(blender=BlenderProcess(program="p", is_module=True), version=version)
        return all_versions.Result(found=found, passed=not failed, line=line, seconds=1.4, failed=failed)

    table = tmp_path / "table.json"
    all_versions.write_table(table, [result("10.0.1", "3 passed in 1.40s")], "abc")
    all_versions.write_table(
        table, [result("4.2.0", "1 failed, 2 passed, 5 skipped, 1 error in 1s", ("a.py::test",))], "def"
    )
    rows = json.loads(table.read_text())
    assert list(rows) == ["4.2.0", "10.0.1"]
    old = rows["4.2.0"]
    assert (old["passed"], old["skipped"], old["failed"], old["failed_tests"]) == (2, 5, 2, ["a.py::test"])
    assert (rows["10.0.1"]["passed"], rows["10.0.1"]["commit"], rows["10.0.1"]["kind"]) == (3, "abc", "bpy")


def test_failed_tests_are_named(stand_in, monkeypatch):
    said = "F.\nFAILED tests/a.py::test_b[c d] - no\nERROR tests/e.py\n1 failed, 1 passed in 0.1s\n"
    program = stand_in("python", f"printf '{said}'; exit 1")
    monkeypatch.setattr(all_versions.sys, "executable", program)
    found = all_versions.Found(blender=BlenderProcess(program="p", is_module=True), version="1")
    result = all_versions.test(found, ())
    assert (result.passed, result.failed) == (False, ("tests/a.py::test_b[c d]", "tests/e.py"))


def test_a_failure_of_one_version_is_a_failure_of_all(monkeypatch, capsys):
    found = [
        all_versions.Found(blender=BlenderProcess(program=name, is_module=True), version=name) for name in ("1", "2")
    ]
    monkeypatch.setattr(all_versions, "find", lambda _environment: found)

    def test(one, _options):
        return all_versions.Result(found=one, passed=one.version == "1", line="line", seconds=1.0)

    monkeypatch.setattr(all_versions, "test", test)
    assert all_versions.main([]) == 1
    assert "bpy 2: FAILED" in capsys.readouterr().out
    monkeypatch.setattr(all_versions, "find", lambda _environment: [])
    assert all_versions.main([]) == 2


def test_a_probe_script_is_found_by_its_name_alone():
    assert probe_script("probe_session.py").is_file()
    with pytest.raises(ProbeError, match=r"Got 0 files named probe_nothing\.py"):
        probe_script("probe_nothing.py")
