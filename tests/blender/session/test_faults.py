# SPDX-License-Identifier: Apache-2.0
"""Every fault of the server, seen from the panel: a stated message, a button, no stuck state, the old look intact."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blender_addon.protocol.errors import ErrorCode
from tests.warm.popen import warm

pytestmark = [pytest.mark.blender, pytest.mark.slow]
PROBE = "probe_faults.py"
STARTING, LIMIT = 90, 320
"""Seconds of a server's start, and of a real job with another start; the whole test took 41 s at a load of 6."""
CODES = [code.value for code in ErrorCode]


def test_a_failed_job_leaves_the_object_as_it_was(run_in_blender):
    found = run_in_blender("failed_jobs", script=PROBE, codes=CODES)
    assert set(found) == set(CODES)
    for code, facts in found.items():
        assert facts["shown"] == ["PGC Preview"], code
        assert facts["state"] == "failed", code
        assert facts["fix"].startswith("pgc."), code
        assert len(facts["text"]) > 10, code
        assert not facts["live"], code
        assert facts["intact"], code
        assert facts["again"], code
        assert facts["pictures"] == 0, code


def test_a_lost_server_is_said_and_the_job_goes_on(run_in_blender):
    found = run_in_blender("lost_connection", script=PROBE)
    lost, absent = found["lost"], found["absent"]
    assert (lost["server"], lost["live"], lost["cancel"]) == ("connecting", True, True)
    assert "Connecting again by itself" in lost["text"]
    assert (absent["server"], absent["fix"], absent["live"]) == ("absent", "pgc.start_server", True)
    assert found["back"] == {"problem": True, "step": 5, "live": True}
    assert not found["cancelled"]["live"]
    assert found["cancelled"]["intact"]
    assert found["cancelled"]["again"]
    assert found["cancelled"]["told"] == ["job-1"]


@pytest.mark.parametrize(
    ("code", "words", "fix"),
    [("AUTH.REFUSED", "pgc-server pair", "pgc.pair"), ("PROTO.VERSION", "versions", "pgc.copy_install_command")],
)
def test_a_refusal_says_what_to_do(run_in_blender, code, words, fix):
    found = run_in_blender("refused", script=PROBE, code=code)
    assert words in found["text"]
    assert found["fix"] == fix
    assert found["intact"]
    assert found["live"], "the job waits"
    assert not found["after"], "and can be cancelled"


def test_a_broken_connection_can_be_made_anew(run_in_blender):
    found = run_in_blender("broken_client", script=PROBE)
    assert found["fix"] == "pgc.reconnect"
    assert "KeyError" in found["text"]
    assert found["new"]
    assert found["closed"]
    assert found["live"]
    assert not found["thread"], "disabling ends the new thread too"


def test_what_the_scene_lacks_is_said_with_its_button(run_in_blender):
    found = run_in_blender("scene_problems", script=PROBE)
    assert found["no uv"][1] == "pgc.unwrap"
    assert found["no camera"][1] == "pgc.use_all_around"
    assert found["no rig"][1] == "pgc.add_rig"
    assert all(reported for _, _, reported in list(found.values())[:3])
    assert found["sent"] == 0


def test_fixing_buttons_mend(run_in_blender):
    found = run_in_blender("fixes", script=PROBE)
    assert found["smaller"] == ["512", 2, True, True]
    assert found["maps"] == [["base_color"], ["base_color"]]
    assert found["model"] == ["pocket", True]
    assert found["cameras"] == "sphere"
    assert found["unwrap"] == ["PGC"]
    assert found["dismissed"] == "idle"


def test_another_computer_is_reached_with_leave_only(run_in_blender):
    found = run_in_blender("offline", script=PROBE)
    connected, fix, text = found["203.0.113.7"]
    assert (connected, fix) == (False, "pgc.allow_online")
    assert "203.0.113.7" in text
    assert found["127.0.0.1"][:2] == [True, ""]
    assert found["allowed"]


def test_no_server_at_all(run_in_blender, tmp_path):
    found = run_in_blender("no_server", script=PROBE, connection=str(tmp_path / "none" / "connection.json"))
    assert "not running" in found["text"]
    assert found["fix"] == "pgc.start_server"
    assert found["live"]
    assert not found["after"]
    assert found["intact"]
    assert found["again"]


@pytest.mark.timeout(STARTING + LIMIT + 120)
def test_a_killed_server_is_started_again_and_the_job_goes_on(run_in_blender, tmp_path):
    data = tmp_path / "server"
    command = [sys.executable, "-m", "server", "start", "--data", str(data), "--device", "cpu"]
    root = Path(__file__).parents[3]
    # The server is forked; a Blender is not.
    with warm():
        started = subprocess.Popen(command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    with started as server:
        connection = data / "connection.json"
        end = time.monotonic() + STARTING
        while not connection.exists() and time.monotonic() < end:
            time.sleep(0.1)
        (data / "python.json").write_text(json.dumps(sys.executable))
        found = run_in_blender("real_server", script=PROBE, limit=LIMIT + 60, connection=str(connection), seconds=LIMIT)
        server.wait(30)
    assert found["ran"], found
    assert found["noticed"], found
    assert found["live"]
    assert found["fix"] == "pgc.start_server"
    assert found["starting"] == "starting"
    assert found["back"], found
    assert found["done"], found
    assert found["state"] == "done", found
    assert found["slots"] == ["Shown: red bricks"]
