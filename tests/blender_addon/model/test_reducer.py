# SPDX-License-Identifier: Apache-2.0
"""What the panel shows after which event: every fault has a sentence and a button, and no state is a dead end."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_addon.client import events as client_events
from blender_addon.client.events import (
    ClientFailed,
    Connected,
    Disconnected,
    Downloading,
    JobAccepted,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobNotice,
    JobPreview,
    JobProgress,
    JobStateChanged,
    Refused,
    RequestFailed,
    ServerStartFailed,
    ServerStarting,
    Uploading,
)
from blender_addon.model import problems, reducer
from blender_addon.model.choices import limit_figures
from blender_addon.model.maps import MAPS
from blender_addon.model.reducer import Deliver, Ended, Follow, Remember, SendCancel, ShowPreview
from blender_addon.model.state import AppState, JobRequest, JobView, Phase, Problem, ServerState, UnwrapTask
from blender_addon.model.timings import read_timings, written_timings
from blender_addon.protocol.arrays import DType
from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from blender_addon.protocol.limits import DEFAULT_LIMITS
from blender_addon.protocol.records import JobInfo, JobResult, JobState, MapFile, ModelInfo

KEY, JOB, UID = "a" * 32, "job-1", 7
HASH = "0" * 64
FILE = MapFile("base_color", 1001, 4, 4, 3, DType.U8, "srgb", "png", HASH, 3)
RESULT = JobResult((FILE,), HASH, 20.0, ("The word gnarly is unknown.",))
CONNECTED = Connected("pgc-server/1", "e" * 32, (ModelInfo("pocket", "installed"),), ("cpu",), ())
LOST = Disconnected("The server closed the connection.", 0.25)
NOBODY = Disconnected("No server answers.", 0.25, absent=True)
MODEL = Path(reducer.__file__).parent
ADDON = MODEL.parent


def error(code, **more):
    return WireError(code, Retry.CHANGED, "What came was this.", **more)


DEFECT = error(ErrorCode.INTERNAL)


def with_job(*events, request=None):
    """A state in which a job was sent, and what happened after."""
    state = AppState()
    state.jobs[KEY] = JobView(KEY, request or JobRequest(prompt="bricks"), "Cube", UID)
    effects = [effect for event in events for effect in reducer.reduce_event(state, event)]
    return state, state.jobs[KEY], effects


RUNNING = (CONNECTED, Uploading(KEY, 5, 10), JobAccepted(JOB, KEY, JobState.QUEUED, 2, False), JobProgress(JOB, 3, 9))


def test_a_job_from_the_click_to_its_maps():
    state, view, _ = with_job(CONNECTED, Uploading(KEY, 5, 10))
    assert (view.phase, view.progress) == (Phase.UPLOADING, 0.5)
    assert reducer.reduce_event(state, JobAccepted(JOB, KEY, JobState.QUEUED, 2, False)) == (Remember(KEY),)
    assert (view.phase, view.job, view.position) == (Phase.QUEUED, JOB, 2)
    reducer.reduce_event(state, JobStateChanged(JOB, KEY, JobState.RUNNING))
    reducer.reduce_event(state, JobProgress(JOB, 3, 9, 4.5))
    assert (view.phase, view.progress, view.eta_s) == (Phase.RUNNING, 3 / 9, 4.5)
    preview = JobPreview(JOB, 1, 3, "base_color", 1001, np.zeros((4, 4, 3), np.uint8))
    (shown,) = reducer.reduce_event(state, preview)
    assert isinstance(shown, ShowPreview)
    assert shown.preview is preview
    assert view.thumbnail is preview.image
    reducer.reduce_event(state, Downloading(JOB, 1, 4))
    assert (view.phase, view.progress) == (Phase.RECEIVING, 0.25)
    assert reducer.reduce_event(state, JobFinished(JOB, KEY, RESULT, {FILE: b"png"}, b"{}")) == (Deliver(KEY),)
    assert (view.phase, view.partial, view.note) == (Phase.APPLYING, False, "The word gnarly is unknown.")
    assert state.steps == {("pocket", "standard", False): 9}
    assert state.seconds_per_step == {("pocket", 0, False): 20.0 / 9}
    assert state.revision > 0


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_error_of_the_server_has_a_sentence_and_a_button(code):
    state, view, effects = with_job(*RUNNING, JobFailed(JOB, KEY, error(code, err_id="e7")))
    assert view.phase is Phase.FAILED
    assert effects[-1] == Ended(KEY)
    assert view.problem is not None
    assert len(view.problem.text) > 10
    assert view.problem.operator.startswith("pgc.")
    assert view.problem.label
    assert not state.live()


def _operators():
    """bl_idname of every operator of the extension, read from its files."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in ADDON.rglob("*.py"))
    return set(re.findall(r'bl_idname = "(pgc\.\w+)"', text))


def test_every_button_belongs_to_an_operator_that_is_there():
    text = (MODEL / "problems.py").read_text(encoding="utf-8")
    named = set(re.findall(r'"(pgc\.\w+)"', text))
    assert len(named) > 8
    assert named <= _operators()


@pytest.mark.parametrize(
    ("event", "expected", "operator"),
    [
        (NOBODY, ServerState.ABSENT, "pgc.start_server"),
        (LOST, ServerState.CONNECTING, "pgc.start_server"),
        (Refused(error(ErrorCode.AUTH_REFUSED)), ServerState.REFUSED, "pgc.pair"),
        (Refused(error(ErrorCode.PROTO_VERSION)), ServerState.REFUSED, "pgc.copy_install_command"),
        (ServerStartFailed("No module named server"), ServerState.ABSENT, "pgc.open_server_log"),
        (ClientFailed("Traceback\nKeyError: 'x'"), ServerState.BROKEN, "pgc.reconnect"),
    ],
)
def test_what_the_server_state_says(event, expected, operator):
    state, view, _ = with_job(*RUNNING, event)
    assert state.server.state is expected
    assert state.server.problem is not None
    assert state.server.problem.operator == operator
    # The job goes on on the server, and the panel can be left or cancelled.
    assert view.live


def test_pairing_is_named_for_a_wrong_key():
    state, *_ = with_job(Refused(error(ErrorCode.AUTH_REFUSED)))
    assert state.server.problem is not None
    assert "pgc-server pair" in state.server.problem.text


def test_a_server_that_dies_and_comes_back_goes_on():
    state, view, _ = with_job(*RUNNING, LOST, NOBODY)
    assert view.live
    assert view.step == 3
    reducer.reduce_event(state, ServerStarting())
    reducer.reduce_event(state, NOBODY)
    assert state.server.state is ServerState.STARTING, "that nobody answers yet is no news while one starts"
    reducer.reduce_event(state, CONNECTED)
    assert state.server.ready
    assert state.server.problem is None
    reducer.reduce_event(state, JobProgress(JOB, 4, 9))
    assert (view.phase, view.step) == (Phase.RUNNING, 4)


def test_a_failed_start_is_not_overwritten_by_nobody_there():
    state, *_ = with_job(ServerStartFailed("Port in use."), NOBODY)
    assert "Port in use. Its log says more." in state.server.problem.text
    reducer.reduce_event(state, CONNECTED)
    assert state.server.problem is None


def test_a_draining_server_is_said():
    state, *_ = with_job(Connected("s", "e", (), (), (), draining=True))
    assert not state.server.ready
    assert state.server.problem.operator == "pgc.start_server"


def test_cancel_while_it_runs_keeps_the_partial_result():
    state, view, _ = with_job(*RUNNING)
    assert reducer.cancelled_by_artist(state, KEY) == (Ended(KEY), SendCancel(JOB))
    assert reducer.cancelled_by_artist(state, KEY) == ()
    preview = JobPreview(JOB, 1, 3, "base_color", 1001, np.zeros((4, 4, 3), np.uint8))
    assert reducer.reduce_event(state, preview) == (), "a late preview must not come back to the mesh"
    assert reducer.reduce_event(state, JobCancelled(JOB, KEY, RESULT, {FILE: b"png"})) == (Deliver(KEY),)
    assert view.partial
    assert view.phase is Phase.APPLYING


def test_stop_and_keep_leaves_the_preview_on_and_shows_what_comes():
    state, view, _ = with_job(*RUNNING)
    assert reducer.stopped_by_artist(state, KEY) == (SendCancel(JOB),)
    assert reducer.stopped_by_artist(state, KEY) == (), "once"
    preview = JobPreview(JOB, 1, 3, "base_color", 1001, np.zeros((4, 4, 3), np.uint8))
    assert len(reducer.reduce_event(state, preview)) == 1
    assert reducer.reduce_event(state, JobStateChanged(JOB, KEY, JobState.QUEUED, text="being kept")) == ()
    assert reducer.reduce_event(state, JobCancelled(JOB, KEY, RESULT, {FILE: b"png"})) == (Deliver(KEY),)
    assert (view.partial, view.cancelling) == (True, False)


@pytest.mark.parametrize("events", [(CONNECTED,), RUNNING[:3], (*RUNNING, Downloading(JOB, 1, 4))])
def test_there_is_nothing_to_keep_before_the_first_step_and_after_the_last(events):
    state, view, _ = with_job(*events)
    assert not view.stoppable
    assert reducer.stopped_by_artist(state, KEY) == ()


def test_stop_and_keep_can_be_cancelled_still():
    state, view, _ = with_job(*RUNNING)
    reducer.stopped_by_artist(state, KEY)
    assert reducer.cancelled_by_artist(state, KEY) == (Ended(KEY), SendCancel(JOB))
    assert view.cancelling


def test_stop_and_keep_waits_for_a_server_that_comes_back_and_not_for_one_that_forgot_it():
    state, view, _ = with_job(*RUNNING)
    reducer.stopped_by_artist(state, KEY)
    reducer.reduce_event(state, LOST)
    assert view.live
    assert reducer.reduce_event(state, RequestFailed("r", error(ErrorCode.JOB_UNKNOWN))) == (Ended(KEY),)
    assert view.problem.operator == "pgc.generate"


def test_a_cancelled_job_does_not_hinder_the_next_one_of_its_object():
    state, view, _ = with_job(*RUNNING)
    assert state.live_for(UID) is view
    reducer.cancelled_by_artist(state, KEY)
    assert view.live
    assert state.live_for(UID) is None


@pytest.mark.parametrize(
    ("said_in", "now", "stays"), [("EDIT", "OBJECT", False), ("EDIT", "EDIT", True), ("OBJECT", "EDIT", True)]
)
def test_what_was_said_in_a_mode_goes_when_that_is_left(said_in, now, stays):
    state = AppState()
    state.show_problem(Problem("Leave Edit Mode."), said_in)
    state.mode_is(now)
    assert (state.problem is not None) == stays


def test_cancel_with_nothing_made_ends():
    state, view, _ = with_job(*RUNNING)
    reducer.cancelled_by_artist(state, KEY)
    assert reducer.reduce_event(state, JobCancelled(JOB, KEY)) == (Ended(KEY),)
    assert view.phase is Phase.CANCELLED


def test_cancel_without_a_connection_ends_at_once_and_keeps_what_comes_later():
    state, view, _ = with_job(*RUNNING, LOST)
    assert reducer.cancelled_by_artist(state, KEY) == (Ended(KEY), SendCancel(JOB))
    assert view.phase is Phase.CANCELLED
    late = JobCancelled(JOB, KEY, RESULT, {FILE: b"png"})
    assert reducer.reduce_event(state, late) == (Deliver(KEY),)


@pytest.mark.parametrize("events", [(NOBODY,), RUNNING])
def test_a_cancelled_unwrap_ends_at_once_and_the_server_is_told_where_it_has_it(events):
    state, view, _ = with_job(*events)
    view.unwrap = UnwrapTask(digest=HASH, before="UVMap", fill=False, triangles=12)
    told = (SendCancel(JOB),) if events == RUNNING else ()
    assert reducer.cancelled_by_artist(state, KEY) == (Ended(KEY), *told)
    assert view.phase is Phase.CANCELLED


@pytest.mark.parametrize("event", [JobFailed(None, KEY, DEFECT), JobFailed(JOB, None, DEFECT), JobCancelled(JOB, "")])
def test_an_end_that_cannot_be_handled_ends_its_job_once(event):
    state, view, _ = with_job(*RUNNING)
    assert reducer.failed_by_defect(state, event, Problem("Ours.")) == (Ended(KEY),)
    assert (view.phase, view.problem) == (Phase.FAILED, Problem("Ours."))
    assert reducer.failed_by_defect(state, event, Problem("Again.")) == ()
    assert view.problem == Problem("Ours.")


@pytest.mark.parametrize("event", [JobProgress(JOB, 1, 2), JobFailed("other", "b" * 32, DEFECT)])
def test_a_job_goes_on_where_no_end_of_its_own_was_lost(event):
    state, view, _ = with_job(*RUNNING)
    assert reducer.failed_by_defect(state, event, Problem("Ours.")) == ()
    assert view.phase is Phase.RUNNING


def test_a_place_in_the_queue_stays_until_another_is_told():
    state, view, _ = with_job(*RUNNING[:3])
    reducer.reduce_event(state, JobStateChanged(JOB, KEY, JobState.QUEUED, text="Still waiting."))
    assert (view.position, view.note) == (2, "Still waiting.")
    reducer.reduce_event(state, JobStateChanged(JOB, KEY, JobState.QUEUED, position=0))
    assert view.position == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [(Phase.QUEUED, Phase.RUNNING), (Phase.FOUND, Phase.RUNNING), (Phase.RECEIVING, Phase.RECEIVING)],
)
def test_a_preview_tells_that_a_job_runs_but_not_that_its_maps_no_longer_come(before, after):
    state, view, _ = with_job(*RUNNING)
    view.phase = before
    preview = JobPreview(JOB, 1, 3, "base_color", 1001, np.zeros((4, 4, 3), np.uint8))
    assert len(reducer.reduce_event(state, preview)) == 1
    assert view.phase is after


def test_a_cancel_under_way_ends_with_the_connection():
    state, view, _ = with_job(*RUNNING)
    reducer.cancelled_by_artist(state, KEY)
    reducer.reduce_event(state, LOST)
    assert view.phase is Phase.CANCELLED


def test_cancel_before_the_server_has_the_job_is_sent_when_it_has():
    state, view, _ = with_job(NOBODY)
    assert reducer.cancelled_by_artist(state, KEY) == (Ended(KEY),)
    assert view.phase is Phase.CANCELLED
    accepted = JobAccepted(JOB, KEY, JobState.QUEUED, 0, False)
    assert reducer.reduce_event(state, accepted) == (SendCancel(JOB),)


def test_a_finish_that_overtakes_the_cancel_is_kept():
    state, view, _ = with_job(*RUNNING)
    reducer.cancelled_by_artist(state, KEY)
    assert reducer.reduce_event(state, JobFinished(JOB, KEY, RESULT, {FILE: b"png"})) == (Deliver(KEY),)
    assert not view.partial
    assert view.cancelling


def test_a_cancel_that_comes_too_late_is_no_error():
    state, *_ = with_job(*RUNNING, RequestFailed("r", error(ErrorCode.JOB_FINISHED)))
    assert state.problem is None


def test_a_cancel_of_a_job_that_nobody_knows_ends():
    state, view, _ = with_job(*RUNNING)
    reducer.cancelled_by_artist(state, KEY)
    reducer.reduce_event(state, RequestFailed("r", error(ErrorCode.JOB_UNKNOWN)))
    assert view.phase is Phase.CANCELLED


def test_another_failed_request_is_shown():
    state, *_ = with_job(*RUNNING, RequestFailed("r", error(ErrorCode.RES_DISK)))
    assert state.problem.text == "The server cannot store anything now. What came was this."


def test_a_job_of_the_blend_without_a_name_is_found_by_its_key_or_given_up():
    for jobs, phase in (((JobInfo(JOB, KEY, JobState.RUNNING),), Phase.FOUND), ((), Phase.FAILED)):
        state, view, _ = with_job()
        view.phase = Phase.FOUND
        effects = reducer.reduce_event(state, Connected("s", "e", (), (), jobs))
        assert view.phase is phase
        if jobs:
            assert list(effects) == [Remember(KEY), Follow(JOB)]
        else:
            assert list(effects) == [Ended(KEY)]
            assert view.problem == problems.forgotten_problem()


def test_a_missing_model_offers_the_built_in_one():
    request = JobRequest(prompt="x", model="sdxl")
    failed = JobFailed(None, KEY, error(ErrorCode.MODEL_MISSING))
    _, view, _ = with_job(failed, request=request)
    assert "sdxl" in view.problem.text
    assert view.problem.operator == "pgc.use_model"
    assert view.problem.options == {"model": "pocket"}


def test_maps_that_the_server_cannot_make():
    _, view, _ = with_job(*RUNNING, JobFailed(JOB, KEY, error(ErrorCode.INPUT_INVALID, field="maps[1]")))
    assert view.problem.operator == "pgc.base_color_only"


def test_a_notice_is_shown_and_strangers_are_ignored():
    state, view, _ = with_job(*RUNNING, JobNotice(JOB, "Half the memory."), JobProgress("other", 1, 2))
    assert view.note == "Half the memory."
    assert view.step == 3
    assert state.job_of(None) is None


def test_any_order_of_events_leaves_no_job_stuck():
    """Whatever came before: an end ends it, and so does Cancel without a connection."""
    made = [
        CONNECTED,
        LOST,
        NOBODY,
        ServerStarting(),
        Uploading(KEY, 1, 2),
        JobAccepted(JOB, KEY, JobState.QUEUED, 0, False),
        JobProgress(JOB, 1, 2),
        JobPreview(JOB, 1, 1, "base_color", 1001, np.zeros((2, 2, 3), np.uint8)),
        Downloading(JOB, 1, 2),
        Refused(error(ErrorCode.AUTH_REFUSED)),
        RequestFailed("r", error(ErrorCode.BUSY)),
    ]
    random = np.random.default_rng(0)
    for _ in range(400):
        order = [made[index] for index in random.integers(0, len(made), 12)]
        state, view, _ = with_job(*order)
        assert view.live
        reducer.reduce_event(state, JobFailed(view.job, KEY, error(ErrorCode.WORKER_LOST)))
        assert not view.live
        state, view, _ = with_job(*order)
        reducer.cancelled_by_artist(state, KEY)
        reducer.reduce_event(state, LOST)
        assert not view.live


def test_a_finish_without_maps_is_an_error_and_not_a_wait():
    state, view, effects = with_job(*RUNNING, JobFinished(JOB, KEY, RESULT))
    assert view.phase is Phase.FAILED
    assert effects[-1] == Ended(KEY)
    assert view.problem == problems.empty_problem()
    assert not state.live()


def test_ended_jobs_are_let_go_after_a_while():
    state, view, _ = with_job(*RUNNING)
    for number in range(50):
        ended = JobView(f"{number:032x}", JobRequest(prompt="x"), "Cube", UID, Phase.FINISHED)
        state.jobs[ended.key] = ended
    state.forget_oldest(10)
    assert len(state.jobs) == 11
    assert state.jobs[KEY] is view, "what goes on stays"
    assert state.newest().key == f"{49:032x}"


def test_times_are_kept_for_the_next_blender():
    state, *_ = with_job(*RUNNING, JobFinished(JOB, KEY, RESULT, {FILE: b"png"}))
    text = written_timings(state)
    fresh = AppState()
    read_timings(fresh, text)
    assert fresh.steps == state.steps
    assert fresh.seconds_per_step["pocket", 0, False] == pytest.approx(20.0 / 9, abs=1e-3)
    entries = '[1, 2], ["m", 5, true, -1], ["m", "x", true, 1.0], ["m", 5, false, Infinity], ["m", 5, 1.0]'
    earlier = AppState()
    read_timings(earlier, '{"steps": [["sdxl", "standard", false, 2800]]}')
    assert earlier.steps == {}, "an earlier version's runs began otherwise"
    for damaged in ("", "[", "[]", f'{{"steps_after_warm_starts": 3, "seconds_per_step": [{entries}]}}'):
        untouched = AppState()
        read_timings(untouched, damaged)
        assert untouched == AppState()


@pytest.mark.parametrize("settings", ['{"steps": 9}', '{"use_start": true}', '{"loss": "csd"}', "[]", "{"])
def test_steps_that_the_artist_chose_say_nothing_about_the_preset(settings):
    request = JobRequest(prompt="bricks", settings=settings)
    state, *_ = with_job(*RUNNING, JobFinished(JOB, KEY, RESULT, {FILE: b"png"}), request=request)
    assert state.steps == {}
    assert state.seconds_per_step == {("pocket", 0, False): 20.0 / 9}


def test_a_step_with_light_is_another_step():
    metallic = replace(FILE, map="metallic")
    result = replace(RESULT, maps=(FILE, metallic))
    state, *_ = with_job(*RUNNING, JobFinished(JOB, KEY, result, {FILE: b"png", metallic: b"png"}))
    assert state.seconds_per_step == {("pocket", 0, True): 20.0 / 9}


@pytest.mark.parametrize(
    "maps", [("base_color",), ("base_color", "corner_uvs"), ("corner_uvs", "base_color", "normal"), ()]
)
def test_new_uvs_that_a_server_makes_are_none_of_its_pictures(maps):
    state = AppState()
    reducer.reduce_event(state, replace(CONNECTED, maps=maps))
    assert state.server.maps == maps
    assert state.server.textures == tuple(name for name in MAPS if name in maps)


def test_every_kind_of_event_is_handled():
    """A new event of the client must be thought of here."""
    kinds = {name for name in client_events.__all__ if name != "Event"}
    text = (MODEL / "reducer.py").read_text(encoding="utf-8")
    ignored = {"Acknowledged", "Fetched", "JobList", "Metrics", "ServerStatus"}
    assert kinds - ignored <= set(re.findall(r"\b[A-Z]\w+", text))


def test_the_servers_limits_are_known_from_its_welcome_and_stay_while_it_is_away():
    limits = replace(DEFAULT_LIMITS, triangles=1000)
    state = AppState()
    assert state.server.limits is None
    reducer.reduce_event(state, replace(CONNECTED, limits=limits))
    reducer.reduce_event(state, LOST)
    assert state.server.limits == limits


@pytest.mark.parametrize(
    ("field", "button", "for_uvs"),
    [("settings.texture_size", "pgc.smaller_texture", "pgc.unwrap"), ("meshes", "", "pgc.unwrap")],
)
def test_what_is_too_large_is_said_with_what_helps(field, button, for_uvs):
    told = error(ErrorCode.PROTO_TOO_LARGE, field=field, hint="Do this.")
    label = "Use a Smaller Texture" if button else ""
    assert problems.of_error(told) == Problem("What came was this. Do this.", button, label)
    assert problems.unwrap_problem(told).operator == for_uvs


def test_limits_are_said_as_figures_that_are_allowed():
    limits = replace(DEFAULT_LIMITS, triangles=9_999_999, job_texels=262_144, job_bytes=2_599_999_999)
    assert limit_figures(limits) == ("9.99 M", "0.26 M", "2.5 GB")
    assert limit_figures(replace(DEFAULT_LIMITS, triangles=9_999)) == ("9,999", "", "")
