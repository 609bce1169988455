# SPDX-License-Identifier: Apache-2.0
"""Submissions, with the test as the server."""

from dataclasses import replace

import pytest

from blender_addon.client.events import JobAccepted, JobFailed, Uploading
from blender_addon.client.link import Loss, SessionConfig
from blender_addon.client.requests import Channel
from blender_addon.client.transfer.uploads import Submission, UploadConfig
from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from blender_addon.protocol.limits import DEFAULT_LIMITS
from blender_addon.protocol.messages import (
    Attach,
    BlobNeed,
    BlobOk,
    BlobProgress,
    BlobPut,
    BlobQuery,
    Error,
    Submit,
)
from tests.blender_addon.client.harness import Rig, new_key, sha, small_spec

CHUNK = 100


@pytest.fixture
def rig():
    rig = Rig(SessionConfig(upload=UploadConfig(chunk=CHUNK, first_window=CHUNK)))
    rig.connect()
    rig.all_events()
    rig.sent.clear()
    return rig


class Store:
    """A server's blobs: takes chunks, keeps what it has."""

    def __init__(self, rig, window=CHUNK):
        self.rig = rig
        self.window = window
        self.parts = {}
        self.most_under_way = 0

    def need(self):
        for query in self.rig.all_of(BlobQuery):
            missing = tuple(
                BlobProgress(sha256=sha256, received=len(self.parts.get(sha256, b"")))
                for sha256 in query.message.hashes
                if not self.complete(sha256)
            )
            self.rig.reply(query, BlobNeed(missing=missing), channel=Channel.BULK)

    def complete(self, sha256):
        return sha(self.parts.get(sha256, b"")) == sha256 and sha256 in self.parts

    def take(self):
        """Answer every chunk that was sent; False where there was none."""
        puts = self.rig.all_of(BlobPut)
        self.most_under_way = max(self.most_under_way, sum(len(put.buffers[0]) for put in puts))
        for put in puts:
            message, have = put.message, self.parts.setdefault(put.message.sha256, bytearray())
            assert message.offset == len(have)
            have += put.buffers[0]
            received = len(have)
            ok = BlobOk(sha256=message.sha256, received=received, complete=received == message.size, window=self.window)
            self.rig.reply(put, ok, channel=Channel.BULK)
        return bool(puts)


def submit(rig, *blobs, key=None):
    key = key or new_key()
    rig.session.submissions.add(Submission(key, small_spec(), {sha(blob): blob for blob in blobs}))
    rig.collect()
    return key


def error(code, retry=Retry.NEVER, field=None):
    return Error(error=WireError(code=code, retry=retry, text="No.", field=field))


def test_a_job_without_arrays_is_submitted_at_once(rig):
    key = submit(rig)
    assert rig.accept() == key
    [event] = rig.events_of(JobAccepted)
    assert (event.key, event.duplicate) == (key, False)
    # And followed.
    assert rig.taken(Attach).message.after_seq == 0


def test_what_is_too_large_for_the_server_is_refused_before_it_is_uploaded(rig):
    rig.session.submissions.opened(replace(DEFAULT_LIMITS, job_texels=16))
    rig.sent.clear()
    key = submit(rig, b"a" * 300)
    (failed,) = [event for event in rig.all_events() if isinstance(event, JobFailed)]
    assert (failed.key, failed.error.code) == (key, ErrorCode.PROTO_TOO_LARGE)
    assert "16 at most" in failed.error.text
    assert not rig.all_of(BlobQuery)
    assert not rig.all_of(Submit)


def test_arrays_go_first_in_chunks_and_arrive_whole(rig):
    blobs = [bytes([n]) * size for n, size in ((1, 250), (2, 100), (3, 1), (4, 0))]
    submit(rig, *blobs)
    store = Store(rig)
    store.need()
    while store.take():
        pass
    assert {sha256: data for sha256, data in store.parts.items() if data} == {sha(blob): blob for blob in blobs if blob}
    rig.accept()


def test_the_server_grants_the_window(rig):
    submit(rig, b"x" * 2000)
    store = Store(rig, window=3 * CHUNK)
    store.need()
    store.take()
    assert store.most_under_way == CHUNK
    while store.take():
        pass
    assert store.most_under_way == 3 * CHUNK


@pytest.mark.slow
@pytest.mark.parametrize(("delay", "largest"), [(0.004, 1 << 20), (2.0, 256 << 10)])
def test_chunks_and_what_is_under_way_fit_the_line(delay, largest):
    rig = Rig(SessionConfig(upload=UploadConfig()))
    rig.connect()
    submit(rig, bytes(80 << 20))
    store = Store(rig, window=16 << 20)
    store.need()
    sizes = []
    while rig.sent:
        rig.mono += delay
        sizes.append([len(send.envelope.buffers[0]) for send in rig.sent if send.envelope.buffers])
        store.take()
        if any(sum(batch) == 0 for batch in sizes):
            break
    assert max(map(max, sizes[-8:-3])) == largest
    under_way = max(map(sum, sizes))
    # A line of a megabyte in two seconds never has much under way; a fast one all that the server grants.
    assert under_way <= 1 << 20 if delay > 1.0 else under_way > 12 << 20


def test_a_window_below_a_chunk_stops_nothing(rig):
    submit(rig, b"x" * 500)
    store = Store(rig, window=1)
    store.need()
    while store.take():
        assert store.most_under_way == CHUNK
    rig.accept()


def test_what_the_server_has_is_not_sent(rig):
    submit(rig, b"x" * 500)
    [query] = rig.all_of(BlobQuery)
    rig.reply(query, BlobNeed(missing=()), channel=Channel.BULK)
    assert rig.all_of(BlobPut) == []
    rig.accept()


def test_progress_counts_what_the_server_had(rig):
    blob = b"x" * 500
    key = submit(rig, blob)
    store = Store(rig)
    store.parts[sha(blob)] = bytearray(blob[:200])
    store.need()
    store.take()
    events = rig.events_of(Uploading)
    assert events[-1] == Uploading(key, 300, 500)


def test_a_broken_transfer_goes_on_where_it_stopped(rig):
    blob = bytes(range(250)) * 2
    submit(rig, blob)
    store = Store(rig)
    store.need()
    store.take()
    store.take()
    rig.session.lost(Loss.CLOSED, rig.now)
    rig.collect()
    rig.tick(0.25)
    rig.connect()
    store.need()
    [put] = [send for send in rig.sent if isinstance(send.envelope.message, BlobPut)]
    assert put.envelope.message.offset == 200
    while store.take():
        pass
    assert store.parts[sha(blob)] == blob
    rig.accept()


def test_a_submission_made_without_a_connection_waits_for_it():
    rig = Rig(SessionConfig(upload=UploadConfig(chunk=CHUNK, first_window=CHUNK)))
    submit(rig, b"x" * 10)
    assert rig.all_of(BlobQuery) == []
    rig.connect()
    store = Store(rig)
    store.need()
    store.take()
    rig.accept()


def test_an_order_that_was_not_acknowledged_is_repeated_under_its_id_and_key(rig):
    key = submit(rig)
    first = rig.taken(Submit)
    rig.session.lost(Loss.CLOSED, rig.now)
    rig.collect()
    rig.tick(0.25)
    rig.connect(epoch="d" * 32)
    again = rig.taken(Submit)
    assert (again.id, again.message.key) == (first.id, key)


def test_arrays_that_the_server_lost_meanwhile_are_sent_again(rig):
    blob = b"x" * 50
    submit(rig, blob)
    store = Store(rig)
    store.need()
    store.take()
    store.parts.clear()
    rig.reply(rig.taken(Submit), error(ErrorCode.INPUT_MISSING_BLOB, Retry.SAME, sha(blob)))
    store.need()
    store.take()
    rig.accept()


def test_a_server_that_misses_arrays_for_ever_fails_the_job(rig):
    submit(rig)
    for _ in range(3):
        rig.reply(rig.taken(Submit), error(ErrorCode.INPUT_MISSING_BLOB, Retry.SAME))
    [event] = rig.events_of(JobFailed)
    assert event.error.code is ErrorCode.INPUT_MISSING_BLOB
    assert len(rig.session.submissions) == 0


def test_a_busy_server_is_asked_again_later(rig):
    submit(rig)
    rig.reply(rig.taken(Submit), error(ErrorCode.BUSY, Retry.LATER))
    rig.tick(1.9)
    assert rig.all_of(Submit) == []
    rig.tick(0.1)
    rig.accept()


def test_a_refused_job_fails_with_the_servers_words(rig):
    key = submit(rig)
    rig.reply(rig.taken(Submit), error(ErrorCode.INPUT_INVALID, field="meshes[0].faces[12]"))
    [event] = rig.events_of(JobFailed)
    assert (event.job, event.key, event.error.field) == (None, key, "meshes[0].faces[12]")


def test_a_chunk_that_arrived_damaged_is_sent_once_more_and_then_the_job_fails(rig):
    submit(rig, b"x" * 50)
    store = Store(rig)
    store.need()
    rig.reply(rig.taken(BlobPut), error(ErrorCode.INPUT_HASH, Retry.SAME), channel=Channel.BULK)
    store.need()
    rig.reply(rig.taken(BlobPut), error(ErrorCode.INPUT_HASH, Retry.SAME), channel=Channel.BULK)
    [event] = rig.events_of(JobFailed)
    assert event.error.code is ErrorCode.INPUT_HASH


def test_an_array_that_is_never_complete_does_not_hang_the_job(rig):
    blob = b"x" * 50
    submit(rig, blob)
    for _ in range(2):
        [query] = rig.all_of(BlobQuery)
        missing = (BlobProgress(sha256=sha(blob), received=0),)
        rig.reply(query, BlobNeed(missing=missing), channel=Channel.BULK)
        ok = BlobOk(sha256=sha(blob), received=50, complete=False, window=CHUNK)
        rig.reply(rig.taken(BlobPut), ok, channel=Channel.BULK)
    assert len(rig.events_of(JobFailed)) == 1


@pytest.mark.parametrize("asked", [BlobQuery, BlobPut])
def test_a_busy_server_gets_the_rest_of_the_arrays_later(rig, asked):
    blob = b"x" * 250
    submit(rig, blob)
    store = Store(rig)
    for _ in range(2):
        if asked is BlobPut:
            store.need()
        rig.reply(rig.taken(asked), error(ErrorCode.BUSY, Retry.LATER), channel=Channel.BULK)
        assert rig.all_of(BlobQuery) == rig.all_of(BlobPut) == []
        rig.sent.clear()
        rig.tick(2.0)
    store.need()
    while store.take():
        pass
    rig.accept()


def test_few_arrays_are_under_way_at_a_time(rig):
    blobs = [bytes([n]) for n in range(20)]
    submit(rig, *blobs)
    store = Store(rig, window=10 * CHUNK)
    store.need()
    most = 0
    while puts := {send.envelope.message.sha256 for send in rig.sent if isinstance(send.envelope.message, BlobPut)}:
        most = max(most, len(puts))
        store.take()
    assert most == 4
    assert len(store.parts) == 20
    rig.accept()


def test_the_same_key_twice_is_one_submission(rig):
    key = submit(rig)
    submit(rig, key=key)
    assert len(rig.all_of(Submit)) == 1


def test_submissions_take_turns(rig):
    first, second = submit(rig, b"a" * 300), submit(rig, b"b" * 300)
    store = Store(rig)
    store.need()
    order = []
    while store.take():
        order += [submitted.message.key for submitted in rig.all_of(Submit)]
    assert order == [first, second]
    assert store.most_under_way == CHUNK
