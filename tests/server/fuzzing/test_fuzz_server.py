# SPDX-License-Identifier: Apache-2.0
"""A slice of the fuzzing; `python -m tests.benchmarks.fuzz_server` runs as many cases as one likes."""

import pytest

from server.errors import ConfigError
from tests.server.fuzzing.conversations import Conversations
from tests.server.fuzzing.judge import Judge, WrongError, contents, lost, sentence
from tests.server.fuzzing.small_files import SmallFiles

pytestmark = pytest.mark.timeout(300)


def judged(target, cases, first=0) -> Judge:
    judge = Judge(target)
    for number in range(first, first + cases):
        judge.look(number)
    target.close()
    return judge


@pytest.mark.slow
def test_small_files_are_read_made_anew_or_refused_in_a_sentence(tmp_path):
    judge = judged(SmallFiles(tmp_path, seed=11), 400)
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


def test_a_broker_that_is_at_fault_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr("server.broker.controls.Controls.list_jobs", lambda self, request, message: [][1])
    monkeypatch.setattr("server.broker.controls.Controls.status", lambda self, request, message: None)
    judge = judged(Conversations(tmp_path, seed=1), 10)
    told = " ".join(failure["what"] for failure in judge.failures)
    assert "IndexError" in told
    assert "no answer to" in told
