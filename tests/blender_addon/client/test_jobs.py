# SPDX-License-Identifier: Apache-2.0
"""Following jobs: every event once, in order, and one end, whatever is lost on the way."""

from dataclasses import replace

import numpy as np
import pytest

from blender_addon.client.events import (
    Downloading,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobNotice,
    JobPreview,
    JobProgress,
    JobShapePreview,
    JobStateChanged,
)
from blender_addon.client.link import Loss
from blender_addon.client.requests import Channel
from blender_addon.client.transfer import downloads
from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from blender_addon.protocol.meshes import PreviewMesh
from blender_addon.protocol.messages import (
    Attach,
    Chunk,
    Credit,
    Detach,
    Error,
    EventKind,
    Get,
    JobEvent,
    JobState,
    Preview,
    PreviewCodec,
    ResultAck,
)
from tests.blender_addon.client.harness import JOB, Rig, progress_event, result_of, state_event

OTHER = "b" * 32


@pytest.fixture
def rig():
    rig = Rig()
    rig.connect()
    rig.sent.clear()
    rig.session.jobs.follow(JOB, None)
    rig.collect()
    rig.all_events()
    return rig


def serve(rig, store):
    """Answer all GETs from a store of bytes by hash; the answers come in the opposite order."""
    served = 0
    while gets := rig.all_of(Get):
        for get in reversed(gets):
            message, data = get.message, store[get.message.sha256]
            piece = data[message.offset : message.offset + message.length]
            chunk = Chunk(sha256=message.sha256, offset=message.offset, total=len(data))
            rig.reply(get, chunk, [piece], channel=Channel.BULK)
            served += 1
    return served


def reconnect(rig, epoch="d" * 32):
    rig.session.lost(Loss.CLOSED, rig.now)
    rig.collect()
    rig.tick(0.25)
    rig.connect(epoch=epoch)


def test_a_job_from_attach_to_end(rig):
    result, store = result_of({"base_color": b"x" * 3_000_000, "roughness": b"y"}, b'{"seed": 1}')
    rig.snapshot([state_event(1, JobState.QUEUED), state_event(2, JobState.RUNNING)])
    rig.event(progress_event(2, 10))
    rig.event(state_event(3, JobState.SUCCEEDED, result=result))
    assert serve(rig, store) == 4 + 1 + 1
    kinds = [type(event) for event in rig.all_events()]
    assert kinds == [JobStateChanged, JobStateChanged, JobProgress, Downloading, JobFinished]
    rig.taken(ResultAck)
    assert not rig.session.jobs.follows(JOB)


def test_the_end_holds_the_files(rig):
    result, store = result_of({"base_color": b"x" * 10}, b"{}")
    rig.snapshot([state_event(1, JobState.SUCCEEDED, result=result)], state=JobState.SUCCEEDED, result=result)
    serve(rig, store)
    [end] = rig.events_of(JobFinished)
    assert {item.map: data for item, data in end.maps.items()} == {"base_color": b"x" * 10}
    assert end.config == b"{}"
    assert end.result == result


def test_files_are_in_the_order_of_the_result_whatever_came_first(rig):
    names = ["base_color", "roughness", "metallic", "normal"]
    sizes = {name: 3_000_000 // 10**place for place, name in enumerate(names)}
    result, store = result_of({name: name[:1].encode() * size for name, size in sizes.items()})
    rig.snapshot([state_event(1, JobState.SUCCEEDED, result=result)], state=JobState.SUCCEEDED, result=result)
    serve(rig, store)
    [end] = rig.events_of(JobFinished)
    assert [item.map for item in end.maps] == names


def test_a_job_that_ended_before_its_events_were_kept_ends_by_its_state(rig):
    result, store = result_of({"base_color": b"x"})
    rig.snapshot([], state=JobState.SUCCEEDED, result=result)
    serve(rig, store)
    assert len(rig.events_of(JobFinished)) == 1


@pytest.mark.parametrize(("state", "kind"), [(JobState.FAILED, JobFailed), (JobState.CANCELLED, JobCancelled)])
def test_other_ends(rig, state, kind):
    error = WireError(code=ErrorCode.RES_OOM, retry=Retry.CHANGED, text="No room.")
    failed = error if state is JobState.FAILED else None
    rig.snapshot([state_event(1, state, error=failed)], state=state, error=failed)
    [end] = rig.all_events()
    assert isinstance(end, kind)
    assert getattr(end, "error", None) == failed


def test_an_end_comes_once_however_often_it_is_told(rig):
    rig.snapshot([state_event(1, JobState.RUNNING)])
    for _ in range(3):
        rig.event(state_event(2, JobState.CANCELLED))
    assert len(rig.events_of(JobCancelled)) == 1


def test_after_a_reconnection_a_job_goes_on_after_the_last_event_known(rig):
    rig.snapshot([state_event(1, JobState.QUEUED), state_event(2, JobState.RUNNING)])
    rig.all_events()
    reconnect(rig)
    assert rig.snapshot([state_event(2, JobState.RUNNING), state_event(3, JobState.CANCELLED)]).after_seq == 2
    assert [type(event) for event in rig.all_events()][-1] is JobCancelled


def test_a_lost_event_is_asked_for_again(rig):
    rig.snapshot([state_event(1, JobState.QUEUED)])
    rig.event(state_event(3, JobState.CANCELLED))
    assert rig.events_of(JobCancelled) == []
    assert rig.taken(Attach).message.after_seq == 1


def test_an_attach_that_was_not_answered_is_repeated(rig):
    rig.taken(Attach)
    reconnect(rig)
    assert rig.taken(Attach).message.after_seq == 0


def test_a_download_goes_on_over_a_reconnection_and_is_not_begun_twice(rig):
    result, store = result_of({"base_color": b"x" * 5_000_000})
    rig.snapshot([state_event(1, JobState.SUCCEEDED, result=result)], state=JobState.SUCCEEDED, result=result)
    before = {get.message.offset for get in rig.all_of(Get) if get.message.length > 1}
    reconnect(rig)
    after = [send.envelope.message for send in rig.sent if isinstance(send.envelope.message, Get)]
    assert {get.offset for get in after} == before
    serve(rig, store)
    assert len(rig.events_of(JobFinished)) == 1


def test_downloads_keep_within_their_window(rig):
    result, _store = result_of({"base_color": b"x" * 50_000_000})
    rig.snapshot([state_event(1, JobState.SUCCEEDED, result=result)], state=JobState.SUCCEEDED, result=result)
    gets = rig.all_of(Get)
    assert sum(get.message.length for get in gets) <= 1 << 20
    assert all(get.message.length <= 768 << 10 for get in gets)


def test_pieces_in_any_order_make_the_file(rig):
    pixels = bytes(range(256)) * 12_000
    result, store = result_of({"base_color": pixels})
    rig.snapshot([state_event(1, JobState.SUCCEEDED, result=result)], state=JobState.SUCCEEDED, result=result)
    while gets := rig.all_of(Get):
        for get in reversed(gets):
            message, data = get.message, store[get.message.sha256]
            piece = memoryview(data)[message.offset : message.offset + message.length]
            chunk = Chunk(sha256=message.sha256, offset=message.offset, total=len(data))
            rig.reply(get, chunk, [piece], channel=Channel.BULK)
    [done] = rig.events_of(JobFinished)
    assert [type(data) for data in done.maps.values()] == [bytes]
    assert list(done.maps.values()) == [pixels]


def test_a_file_that_there_is_no_memory_for_is_a_failure_with_a_reason(rig, monkeypatch):
    def no_memory(size):
        raise MemoryError

    monkeypatch.setattr(downloads, "Landing", no_memory)
    result, store = result_of({"base_color": b"x" * 10})
    rig.snapshot([state_event(1, JobState.SUCCEEDED, result=result)], state=JobState.SUCCEEDED, result=result)
    serve(rig, store)
    [failed] = rig.events_of(JobFailed)
    assert "no memory for a file of" in failed.error.text


def test_many_small_files_are_not_asked_for_all_at_once(rig):
    result, store = result_of({f"map{n}": bytes([n]) for n in range(100)})
    rig.snapshot([state_event(1, JobState.SUCCEEDED, result=result)], state=JobState.SUCCEEDED, result=result)
    assert len([send for send in rig.sent if isinstance(send.envelope.message, Get)]) == 32
    serve(rig, store)
    assert len(rig.events_of(JobFinished)[0].maps) == 100


def test_damaged_files_are_fetched_once_more_and_then_the_job_fails(rig):
    result, store = result_of({"base_color": b"x" * 10})
    damaged = {sha256: data[::-1] + b"" if data != b"x" * 10 else b"y" * 10 for sha256, data in store.items()}
    rig.snapshot([state_event(1, JobState.SUCCEEDED, result=result)], state=JobState.SUCCEEDED, result=result)
    assert serve(rig, damaged) >= 2
    [end] = rig.events_of(JobFailed)
    assert end.error.code is ErrorCode.INPUT_HASH


def test_files_that_the_server_lost_fail_the_job_once(rig):
    result, _store = result_of({"base_color": b"x", "roughness": b"y"})
    rig.snapshot([state_event(1, JobState.SUCCEEDED, result=result)], state=JobState.SUCCEEDED, result=result)
    gone = WireError(code=ErrorCode.INPUT_MISSING_BLOB, retry=Retry.NEVER, text="It is gone.")
    while gets := rig.all_of(Get):
        for get in gets:
            rig.reply(get, Error(error=gone), channel=Channel.BULK)
    assert [event.error for event in rig.events_of(JobFailed)] == [gone]


def test_an_unknown_job_is_no_finished_job(rig):
    unknown = WireError(code=ErrorCode.JOB_UNKNOWN, retry=Retry.NEVER, text="No such job.")
    rig.reply(rig.taken(Attach), Error(error=unknown))
    [event] = rig.all_events()
    assert event == JobFailed(JOB, None, unknown)
    reconnect(rig)
    assert rig.all_of(Attach) == []


def test_notices_and_states_reach_the_owner(rig):
    notice = JobEvent(
        job=JOB,
        seq=2,
        kind=EventKind.NOTICE,
        state=None,
        step=0,
        steps=0,
        eta_s=None,
        text="A smaller plan was taken.",
        error=None,
        result=None,
    )
    rig.snapshot([state_event(1, JobState.QUEUED), notice])
    assert rig.events_of(JobNotice) == [JobNotice(JOB, "A smaller plan was taken.")]


def test_following_twice_is_following_once(rig):
    rig.session.jobs.follow(JOB, None)
    rig.collect()
    assert len(rig.all_of(Attach)) == 1


def test_a_job_that_is_not_followed_any_more_is_silent(rig):
    rig.snapshot([state_event(1, JobState.RUNNING)])
    rig.all_events()
    rig.session.jobs.unfollow(JOB)
    rig.collect()
    rig.taken(Detach)
    rig.event(progress_event(1, 5))
    assert rig.all_events() == []


def preview(step, data, *, job=JOB, codec=PreviewCodec.RAW_U8, side=4, channels=3):
    return Preview(
        job=job,
        seq=step,
        step=step,
        map="base_color",
        tile=1001,
        width=side,
        height=side,
        channels=channels,
        codec=codec,
    ), [data]


def push_preview(rig, *arguments, **named):
    message, buffers = preview(*arguments, **named)
    rig.push(message, buffers, channel=Channel.BULK)


def test_a_preview_costs_credit_until_it_is_taken():
    given_back = []
    rig = Rig()
    rig.events._released = given_back.append
    rig.connect()
    assert rig.taken(Credit).message.bytes == 4 << 20
    rig.session.jobs.follow(JOB, None)
    rig.collect()
    rig.snapshot([state_event(1, JobState.RUNNING)])
    rig.all_events()
    push_preview(rig, 1, bytes(range(48)))
    push_preview(rig, 2, bytes(range(48)))
    # The first one was replaced.
    assert given_back == [48]
    [event] = rig.events_of(JobPreview)
    assert event.step == 2
    assert event.image.shape == (4, 4, 3)
    assert event.image.tobytes() == bytes(range(48))
    assert given_back == [48, 48]
    rig.session.previews.released(48)
    rig.collect()
    assert rig.taken(Credit).message.bytes == 48


def test_previews_of_jobs_that_nobody_follows_give_their_credit_back(rig):
    rig.all_of(Credit)
    push_preview(rig, 1, bytes(48), job=OTHER)
    assert rig.taken(Credit).message.bytes == 48
    assert rig.events_of(JobPreview) == []


def test_after_a_reconnection_untaken_previews_count(rig):
    rig.snapshot([state_event(1, JobState.RUNNING)])
    push_preview(rig, 1, bytes(48))
    reconnect(rig)
    assert rig.taken(Credit).message.bytes == (4 << 20) - 48


def test_compressed_previews(rig):
    import zlib

    rig.snapshot([state_event(1, JobState.RUNNING)])
    push_preview(rig, 1, zlib.compress(bytes(range(48))), codec=PreviewCodec.ZLIB_U8)
    assert rig.events_of(JobPreview)[0].image.tobytes() == bytes(range(48))


def test_previews_of_shapes_are_meshes_and_cost_credit_too():
    given_back = []
    rig = Rig()
    rig.events._released = given_back.append
    rig.connect()
    rig.session.jobs.follow(JOB, None)
    rig.collect()
    rig.snapshot([state_event(1, JobState.RUNNING)])
    rig.all_events()
    faces = np.array([[0, 1, 2]], np.int32)
    for step in (1, 2):
        mesh = PreviewMesh(positions=np.full((3, 3), step, np.float32), faces=faces)
        message, _ = preview(step, b"", codec=PreviewCodec.MESH)
        rig.push(replace(message, map="shape", width=3, height=1), [mesh.pack()], channel=Channel.BULK)
    [event] = rig.events_of(JobShapePreview)
    assert np.array_equal(event.mesh.positions, np.full((3, 3), 2))
    assert np.array_equal(event.mesh.faces, faces)
    assert given_back == [48, 48]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (bytes(47), {}),
        (bytes(49), {}),
        (bytes(47), {"codec": PreviewCodec.MESH}),
        (b"no zlib", {"codec": PreviewCodec.ZLIB_U8}),
    ],
)
def test_damaged_previews_end_the_connection(rig, data, named):
    rig.snapshot([state_event(1, JobState.RUNNING)])
    rig.all_events()
    push_preview(rig, 1, data, **named)
    assert rig.closes == 1
    assert rig.events_of(JobPreview) == []


@pytest.mark.slow
def test_a_preview_that_would_grow_without_bound_does_not(rig):
    import tracemalloc
    import zlib

    bomb = zlib.compress(bytes(64 << 20))
    rig.snapshot([state_event(1, JobState.RUNNING)])
    tracemalloc.start()
    push_preview(rig, 1, bomb, codec=PreviewCodec.ZLIB_U8)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
    assert rig.closes == 1
