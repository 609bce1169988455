# SPDX-License-Identifier: Apache-2.0
"""A slice of the fuzzing; `python -m tests.benchmarks.fuzz_server` runs as many cases as one likes."""

import json
import logging
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from server.errors import ConfigError
from tests.server.fuzzing.blobs import Blobs
from tests.server.fuzzing.checkpoints import Checkpoints
from tests.server.fuzzing.conversations import Conversations
from tests.server.fuzzing.journals import Journals
from tests.server.fuzzing.judge import ROOT, Judge, WrongError, contents, lost, sentence
from tests.server.fuzzing.small_files import SmallFiles
from tests.server.fuzzing.specs import Specs

pytest.importorskip("resource", reason="limits of a process are set as Unix has them")
from tests.benchmarks import fuzz_server

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def _quiet(caplog):
    """Thousands of damaged inputs would fill the log; as in the benchmark, where this is set for the whole process."""
    caplog.set_level(logging.CRITICAL, logger="server")


def judged(target, cases, first=0) -> Judge:
    judge = Judge(target)
    for number in range(first, first + cases):
        judge.look(number)
    target.close()
    return judge


@pytest.mark.slow
def test_small_files_are_read_made_anew_or_refused_in_a_sentence(tmp_path):
    judge = judged(SmallFiles(tmp_path, seed=11), 200)
    assert judge.failures == []
    outcomes = " ".join(judge.outcomes)
    # It does not only knock at the door.
    for found in ("server: read", "server: refused", "clock: read", "on the list", "ours", "kept (refused, refused)"):
        assert found in outcomes


@pytest.mark.slow
def test_conversations_lose_nothing_and_get_answers_that_can_be_read(tmp_path):
    judge = judged(Conversations(tmp_path, seed=11), 25)
    assert judge.failures == []
    assert judge.parts == 25 * 60
    for found in ("SUBMIT: ACCEPTED", "BLOB_PUT: BLOB_OK", "damaged: INPUT.INVALID", "HELLO: WELCOME"):
        assert judge.outcomes[found] > 0, found


@pytest.mark.slow
def test_a_server_starts_with_what_a_journal_still_says(tmp_path):
    judge = judged(Journals(tmp_path, seed=11), 120)
    assert judge.failures == []
    outcomes = " ".join(judge.outcomes)
    for found in ("restored, 2 jobs", "as it was, 5 jobs", "JournalError", "values: ", "scheme: ", "bytes: "):
        assert found in outcomes, found


@pytest.mark.slow
def test_specifications_are_accepted_or_refused_by_a_sentence(tmp_path):
    judge = judged(Specs(tmp_path, seed=27), 150)
    assert judge.failures == []
    for found in ("accepted, then ready", "INPUT.INVALID", "INPUT.UNKNOWN_FIELD", "INPUT.MISSING_BLOB"):
        assert judge.outcomes[found] > 0, found


@pytest.mark.slow
def test_what_is_loaded_of_damaged_checkpoints_is_what_was_written(tmp_path):
    judge = judged(Checkpoints(tmp_path, seed=11), 200)
    assert judge.failures == []
    assert min(judge.outcomes[found] for found in ("none", "step 10", "step 20")) > 20


@pytest.mark.slow
def test_blobs_are_their_bytes_or_are_asked_for_again(tmp_path):
    judge = judged(Blobs(tmp_path, seed=11), 30)
    assert judge.failures == []
    for found in ("put: complete", "get: bytes", "get: INPUT.MISSING_BLOB", "look: bytes", "put: INPUT.HASH"):
        assert judge.outcomes[found] > 0, found


@pytest.mark.slow
def test_case_numbers_stand_for_cases(tmp_path):
    first, again = judged(SmallFiles(tmp_path / "a", seed=3), 40), judged(SmallFiles(tmp_path / "b", seed=3), 40)
    assert first.outcomes == again.outcomes
    assert judged(SmallFiles(tmp_path / "c", seed=4), 40).outcomes != first.outcomes


class Always:
    """A target whose cases all end the same."""

    def __init__(self, error=None):
        self._error = error

    def case(self, number):
        if self._error is not None:
            raise self._error
        return ["fine"] * 3

    def close(self):
        pass


@pytest.mark.parametrize("error", [IndexError("3 of 2"), MemoryError("all of it"), WrongError("a job is gone")])
def test_the_judge_sees_what_must_not_be(error):
    judge = judged(Always(error), 1, first=7)
    assert judge.failures[0]["case"] == 7
    assert str(error) in judge.failures[0]["what"]
    if not isinstance(error, WrongError):
        place = Path("tests", "server", "fuzzing", "test_fuzz_server.py")
        assert f'"{place}"' in judge.failures[0]["what"]
    assert str(ROOT) not in judge.failures[0]["what"]
    assert judge.outcomes == {"failed": 1}


def test_the_judge_sees_what_takes_too_long_and_counts_parts():
    judge = Judge(Always(), limit=-1.0)
    judge.look(0)
    assert judge.failures[0]["what"].endswith("s of the processor")
    assert judge.outcomes["fine"] == 3


def test_what_is_lost_is_what_is_nowhere(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    before = contents(tmp_path)
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "a").rename(tmp_path / "quarantine" / "a")
    (tmp_path / "b").write_text("other")
    (tmp_path / "c").unlink()
    assert lost(before, contents(tmp_path)) == ["b", "c"]


@pytest.mark.parametrize("text", ["", "two\nlines", "x" * 800, "Traceback (most recent call last)"])
def test_what_is_no_sentence(text):
    with pytest.raises(WrongError, match="no sentence"):
        sentence(ConfigError(text))


@pytest.mark.slow
def test_a_broker_that_is_at_fault_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr("server.broker.scheduling.controls.Controls.list_jobs", lambda self, request, message: [][1])
    monkeypatch.setattr("server.broker.scheduling.controls.Controls.status", lambda self, request, message: None)
    judge = judged(Conversations(tmp_path, seed=1), 10)
    told = " ".join(failure["what"] for failure in judge.failures)
    assert "IndexError" in told
    assert "no answer to" in told


def _run(first, last, tally):
    fuzz_server.run("small_files", last - first, tally, first)
    return tally.content


@pytest.mark.slow
def test_the_program_counts_all_cases_and_goes_on_after_a_child_that_died(monkeypatch, tmp_path):
    monkeypatch.setattr(fuzz_server, "CHUNK", 20)
    content = _run(0, 30, fuzz_server.Tally(5))
    assert (content["cases"], content["parts"], content["failure_count"]) == (30, 30, 0)
    whole, deaths = fuzz_server._child, [(86, "killed")]

    def dies_once(name, first, last, seed, folder):
        if deaths and last - first > 10:
            (folder / "at").write_text("7")
            return deaths.pop()
        return whole(name, first, last, seed, folder)

    monkeypatch.setattr(fuzz_server, "_child", dies_once)
    content = _run(0, 30, fuzz_server.Tally(5))
    assert content["failures"] == [{"case": 7, "what": "the process ended with code 86: killed"}]
    assert (content["cases"], content["parts"], content["children_that_died"]) == (30, 30, 1)


@pytest.mark.slow
def test_the_program_goes_on_where_its_file_ends(tmp_path):
    out = tmp_path / "found.json"
    for cases in (10, 25):
        assert fuzz_server.main(["--only", "small_files", "--cases", str(cases), "--out", str(out)]) == 0
        found = json.loads(out.read_text())
        assert found["cases_together"] == found["targets"]["small_files"]["cases"] == cases


HANGS = [("while True: pass", -signal.SIGPROF, None), ("numpy.ones(1 << 28)", 0, "MemoryError")]


@pytest.mark.slow
@pytest.mark.parametrize(("body", "code", "found"), HANGS)
def test_a_child_ends_at_its_limits_of_time_and_memory(tmp_path, body, code, found):
    script = (
        "import sys, numpy, pathlib\n"
        "from tests.benchmarks import fuzz_server\n"
        "class Bad:\n"
        "    def case(self, number):\n"
        f"        {body}\n"
        "    def close(self): pass\n"
        "fuzz_server.HANG, fuzz_server.WARM_UP = 0.5, 0\n"
        "fuzz_server.target = lambda name, folder, seed: Bad()\n"
        "fuzz_server.child('blobs', 0, 1, 1, pathlib.Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, cwd=fuzz_server.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    if found is None:
        assert "in case" in done.stderr
    else:
        assert found in json.loads((tmp_path / "found.json").read_text())["failures"][0]["what"]
