# SPDX-License-Identifier: Apache-2.0
"""The list of what can be fetched again."""

import pytest

from blender_addon.model.conditions.shapes import ShapeTask
from blender_addon.model.recent_results import completed_request, fetched_request, named_shape, recent_results
from blender_addon.model.state import AppState, JobRequest, JobView
from blender_addon.protocol.records import JobInfo, JobState

NOW = 1_000_000.0


def info(key, state=JobState.SUCCEEDED, ago=60.0, name="Pot"):
    return JobInfo(f"job-{key}", key, state, created=NOW - ago, name=name)


def titles(*jobs, views=()):
    state = AppState()
    state.server.jobs = jobs
    state.jobs = {view.key: view for view in views}
    return [result.title for result in recent_results(state, NOW)]


def test_only_what_may_have_a_result_newest_first():
    jobs = [info("a", ago=7200.0), info("b", JobState.RUNNING), info("c", JobState.FAILED), info("d", JobState.QUEUED)]
    assert titles(*jobs, info("e", JobState.CANCELLED)) == ["Pot (just now, stopped)", "Pot (2 h ago)"]


def test_what_this_blender_asked_for_is_told_by_its_prompt():
    view = JobView("a", JobRequest(prompt="red bricks"), "Pot", 1)
    assert titles(info("a", ago=600.0), views=[view]) == ["Pot · red bricks (10 min ago)"]
    view.nothing_kept = True
    assert titles(info("a"), views=[view]) == []


def test_no_more_than_a_menu_holds():
    assert len(titles(*(info(str(number)) for number in range(40)))) == 15


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (10, "just now"),
        (89, "just now"),
        (90, "2 min ago"),
        (3000, "50 min ago"),
        (8999, "2 h ago"),
        (9001, "3 h ago"),
        (80000, "22 h ago"),
        (215999, "2 days ago"),
        (216001, "3 days ago"),
        (4e5, "5 days ago"),
    ],
)
def test_ages(ago, text):
    assert titles(info("a", ago=ago)) == [f"Pot ({text})"]


def test_a_prompt_that_only_the_server_knows():
    config = b'{"seed": 3000000000, "resolved": {"prompt": {"text": "moss", "negative": "red"}}}'
    found = completed_request(JobRequest(prompt=""), config)
    assert (found.prompt, found.negative, found.seed) == ("moss", "red", (1 << 31) - 1)
    known = JobRequest(prompt="mine")
    assert completed_request(known, config) is known


@pytest.mark.parametrize(("told", "seed"), [("0", 0), ("7", 7), ("-1", 5), ('"7"', 5)])
def test_a_seed_is_taken_over_where_it_is_one(told, seed):
    assert completed_request(JobRequest(prompt="", seed=5), f'{{"seed": {told}}}'.encode()).seed == seed


@pytest.mark.parametrize(
    "config", [b"", b"[]", b'"text"', b'{"resolved": 3}', b'{"seed": -1, "resolved": {"prompt": []}}']
)
def test_a_configuration_that_says_nothing(config):
    assert completed_request(JobRequest(prompt=""), config).prompt == ""


def test_faces_and_uvs_of_another_object_are_not_taken_over():
    known = JobRequest(prompt="moss", target="selected_faces", faces="4:x", uvs="u", uv_map="UVMap")
    assert fetched_request(known, True) is known
    other = fetched_request(known, False)
    assert (other.prompt, other.target, other.faces, other.uvs, other.uv_map) == ("moss", "object", "", "", "")
    assert fetched_request(None, True).prompt == ""


def test_a_new_shape_that_nobody_here_asked_for_comes_as_one_from_a_prompt():
    state = AppState()
    state.server.jobs = (info("a", name="Vase (new shape)"), info("b", name="Pot (new UV map)"), info("c"))
    assert [result.key for result in recent_results(state, NOW)] == ["a", "c"]
    assert [named_shape(state, f"job-{key}") for key in "abcd"] == ["Vase", None, None, None]
    task = ShapeTask.read(fetched_request(None, False, shape=True).shape)
    assert task is not None
    assert task.imagined
    assert fetched_request(None, False).shape == ""
