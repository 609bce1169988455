# SPDX-License-Identifier: Apache-2.0
"""Ages under clocks that are set forward, set back, or stood still."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.config import DAY, HOUR
from server.storage.age import AgeClock, clock_file

START = 1_790_000_000.0


class Clocks:
    def __init__(self) -> None:
        self.wall, self.monotonic = START, 50.0

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def opened(path: Path, clocks: Clocks) -> AgeClock:
    return AgeClock(path, lambda: clocks.wall, lambda: clocks.monotonic)


def fresh(path: Path, clocks: Clocks) -> AgeClock:
    path.write_bytes(clock_file(clocks.wall))
    return opened(path, clocks)


def test_without_jumps_age_is_what_the_calendar_says(tmp_path, clocks) -> None:
    age = fresh(tmp_path / "clock.json", clocks)
    born = clocks.wall
    for _ in range(30):
        clocks.pass_time(DAY)
        age.tick()
    assert age.age(born) == pytest.approx(30 * DAY)
    assert age.age(clocks.wall + 5.0) == 0.0


@pytest.mark.parametrize("jumps", [[400 * DAY], [-400 * DAY], [400 * DAY, -400 * DAY], [-9 * DAY, 9 * DAY, 9 * DAY]])
def test_a_jump_makes_nothing_older(tmp_path, clocks, jumps) -> None:
    age = fresh(tmp_path / "clock.json", clocks)
    born = clocks.wall
    clocks.pass_time(HOUR)
    age.tick()
    late = clocks.wall + 0.05
    clocks.pass_time(0.1)
    for jump in jumps:
        clocks.wall += jump
        age.tick()
        assert age.age(born) <= HOUR + 1.0
        assert age.age(late) <= 1.0, "what was made since the last look is no older either"


def test_after_a_jump_time_goes_on(tmp_path, clocks) -> None:
    age = fresh(tmp_path / "clock.json", clocks)
    born = clocks.wall
    clocks.wall += 400 * DAY
    age.tick()
    after = clocks.wall
    for _ in range(10):
        clocks.pass_time(DAY)
        age.tick()
    assert age.age(born) == pytest.approx(10 * DAY, abs=1.0)
    assert age.age(after) == pytest.approx(10 * DAY, abs=1.0)


def test_what_is_made_after_the_clock_was_set_back_is_young(tmp_path, clocks) -> None:
    """The same time of the calendar comes twice then."""
    age = fresh(tmp_path / "clock.json", clocks)
    clocks.wall -= 3650 * DAY
    age.tick()
    clocks.pass_time(HOUR)
    age.tick()
    born = clocks.wall
    clocks.pass_time(HOUR)
    age.tick()
    assert age.age(born) == pytest.approx(HOUR)


def test_jumps_are_remembered_and_a_long_rest_counts_as_a_day(tmp_path, clocks) -> None:
    path = tmp_path / "clock.json"
    age = fresh(path, clocks)
    born = clocks.wall
    clocks.wall += 400 * DAY
    assert age.tick(), "a jump is to be saved at once"
    age.save()
    clocks.pass_time(30 * DAY)
    again = opened(path, clocks)
    assert again.age(born) == pytest.approx(DAY, abs=1.0)
    again.save()
    assert opened(path, clocks).age(born) == pytest.approx(DAY, abs=1.0)


def test_a_clock_that_was_set_back_between_two_runs(tmp_path, clocks) -> None:
    path = tmp_path / "clock.json"
    fresh(path, clocks).save()
    born = clocks.wall
    clocks.wall -= 100 * DAY
    age = opened(path, clocks)
    clocks.wall += 100 * DAY
    age.tick()
    assert age.age(born) <= 1.0


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"[]", b'{"last": "x", "jumps": []}', b'{"last": 1.0, "jumps": [[1]]}']
)
def test_without_a_readable_file_ages_count_from_now(tmp_path, clocks, content) -> None:
    path = tmp_path / "clock.json"
    if content is not None:
        path.write_bytes(content)
    age = opened(path, clocks)
    assert age.age(clocks.wall - 1000 * DAY) == 0.0
    assert age.age(1.0) == 0.0
    clocks.pass_time(DAY)
    age.tick()
    assert age.age(START - 5.0) == pytest.approx(DAY)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 3 * DAY), st.floats(-4000 * DAY, 4000 * DAY)), max_size=12))
def test_no_sequence_of_jumps_makes_a_thing_older_than_the_time_that_passed(tmp_path_factory, history) -> None:
    clocks = Clocks()
    age = fresh(tmp_path_factory.mktemp("age") / "clock.json", clocks)
    born = [(clocks.wall, clocks.monotonic)]
    for passed, jump in history:
        clocks.pass_time(passed)
        age.tick()
        clocks.wall += jump
        age.tick()
        born.append((clocks.wall, clocks.monotonic))
        for wall, monotonic in born:
            # Jumps of less than ten minutes are not told from a clock that is put right.
            assert age.age(wall) <= clocks.monotonic - monotonic + 600.0 * len(history) + 1.0


def test_of_very_many_jumps_the_oldest_are_forgotten_to_the_safe_side(tmp_path, clocks) -> None:
    path = tmp_path / "clock.json"
    age = fresh(path, clocks)
    born = clocks.wall
    for number in range(200):
        clocks.pass_time(60.0)
        clocks.wall += DAY * (1 if number % 2 else -1)
        age.tick()
    assert age.age(born) <= 200 * 60.0
    age.save()
    assert path.stat().st_size < 10_000
