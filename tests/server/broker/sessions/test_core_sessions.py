# SPDX-License-Identifier: Apache-2.0
"""HELLO, sessions, and who may see what."""

import hashlib

import pytest

from blender_addon.protocol.codec import Envelope, encode, request_id
from blender_addon.protocol.messages import (
    Accepted,
    Attach,
    BlobNeed,
    BlobQuery,
    Bye,
    Cancel,
    Detach,
    Done,
    Error,
    Get,
    Hello,
    Jobs,
    ListJobs,
    ModelInfo,
    Pause,
    Ping,
    Pong,
    Reject,
    Reorder,
    ResultAck,
    Resume,
    Status,
    Submit,
    Welcome,
)
from server.broker.ports import Address, Channel
from server.broker.scheduling.lists import Lists
from server.broker.sessions.sessions import SILENCE_LIMIT
from server.config import QuotaConfig
from tests.server.broker.core_rig import ALICE, BOB, CoreRig, User, code_of
from tests.server.broker.rig import BLOBS, spec


def test_welcome_tells_version_models_devices_and_ones_own_jobs(core: CoreRig) -> None:
    core.ready("worker")
    alice, bob = core.user(ALICE).upload(), core.user(BOB)
    job = alice.submit()
    welcome = alice.ask(Hello(((2, 0), (1, 7)), "test"))
    assert welcome.protocol == (1, 2)
    assert "shape" in welcome.maps
    assert [model.key for model in welcome.models if model.state == "installed"] == ["pocket"]
    assert welcome.devices == ("cpu",)
    assert [info.job for info in welcome.jobs] == [job]
    assert bob.ask(Hello(((1, 0),), "an older client")).protocol == (1, 0)
    assert bob.ask(Hello(((1, 0),), "test")).jobs == ()
    assert "shape" not in bob.ask(Hello(((1, 1),), "an older client")).maps


def test_an_older_session_hears_of_no_model_that_only_sees(core: CoreRig) -> None:
    core.ready("worker")
    core.state.models += (ModelInfo("zero123", "installed"),)
    alice = core.user(ALICE)
    for minor, told in ((2, True), (1, False)):
        welcome = alice.ask(Hello(((1, minor),), "test"))
        for models in (welcome.models, alice.ask(Status(), session=welcome.session).models):
            assert ("zero123" in {model.key for model in models}) == told


@pytest.mark.parametrize(("major", "side"), [(2, "server"), (0, "add-on")])
def test_another_major_version_is_rejected_with_the_side_to_update(core: CoreRig, major: int, side: str) -> None:
    answer = User(core, ALICE).ask(Hello(((major, 0),), "test"))
    assert isinstance(answer, Reject)
    assert answer.error.code.value == "PROTO.VERSION"
    assert side in answer.error.hint


def test_what_comes_without_a_known_session_is_sent_back(core: CoreRig) -> None:
    user = User(core, ALICE)
    assert code_of(user.ask(ListJobs())) == "PROTO.SESSION"
    assert code_of(user.ask(ListJobs(), session="0" * 32)) == "PROTO.SESSION"
    assert user.ask(Ping(1)) == Pong(1)
    assert code_of(user.ask(Ping(1), session="0" * 32)) == "PROTO.SESSION"
    assert code_of(user.ask(Hello(((1, 0),), "x", "0" * 32), bulk=True)) == "PROTO.SESSION"


def test_a_session_id_is_of_no_use_to_another_user_or_connection(core: CoreRig) -> None:
    alice, bob = core.user(ALICE), core.user(BOB)
    assert code_of(bob.ask(ListJobs(), session=alice.session)) == "PROTO.SESSION"
    assert code_of(User(core, BOB).ask(Hello(((1, 0),), "x", alice.session), bulk=True)) == "PROTO.SESSION"
    assert code_of(User(core, ALICE).ask(ListJobs(), session=alice.session)) == "PROTO.SESSION"


def test_another_users_job_is_answered_exactly_as_one_that_never_was(core: CoreRig) -> None:
    alice, bob = core.user(ALICE).upload(), core.user(BOB)
    job, nobody = alice.submit(), "0" * 32
    for kind in (Attach, Cancel, Pause, Resume, Reorder, ResultAck):
        assert bob.ask(kind(job)) == bob.ask(kind(nobody))
        assert code_of(bob.ask(kind(job))) == "JOB.UNKNOWN"
    assert bob.ask(Detach(job)) == bob.ask(Detach(nobody)) == Done()
    assert bob.ask(ListJobs()) == Jobs(())
    assert len(alice.ask(ListJobs()).jobs) == 1


def test_another_users_blob_is_answered_exactly_as_one_that_never_was(core: CoreRig) -> None:
    core.user(ALICE).upload()
    bob = core.user(BOB)
    known, never = hashlib.sha256(BLOBS[0]).hexdigest(), "0" * 64
    assert bob.ask(Get(known, 0, 10), bulk=True) == bob.ask(Get(never, 0, 10), bulk=True)
    need = bob.ask(BlobQuery((known, never)), bulk=True)
    assert isinstance(need, BlobNeed)
    assert [(missing.sha256, missing.received) for missing in need.missing] == [(known, 0), (never, 0)]
    answer = bob.ask(Submit("1" * 32, spec()))
    assert code_of(answer) == "INPUT.MISSING_BLOB"
    assert known in answer.error.field


def test_a_key_that_is_taken_off_the_list_is_not_heard_any_more(core: CoreRig) -> None:
    alice = core.user(ALICE)
    core.core.set_clients({key: client for key, client in core.state.clients.items() if key != ALICE})
    assert code_of(alice.ask(ListJobs())) == "AUTH.REFUSED"
    assert len(core.state.sessions) == 0


def test_messages_have_their_channel(core: CoreRig) -> None:
    alice = core.user()
    assert code_of(alice.ask(Get("0" * 64, 0, 1))) == "PROTO.UNKNOWN_TYPE"
    assert code_of(alice.ask(ListJobs(), bulk=True)) == "PROTO.UNKNOWN_TYPE"
    assert code_of(alice.ask(Done())) == "PROTO.UNKNOWN_TYPE"


def test_bytes_that_are_no_message_get_a_typed_error(core: CoreRig) -> None:
    address = Address(Channel.CTL, b"x", ALICE)
    for frames in ([], [b"TXP1"], [b"TXP1", b"\xff" * 9], [b"GET / HTTP/1.1"] * 2, [b"TXP1", b"\x80"] * 6):
        before = len(core.ports.sent)
        core.core.received(address, frames)
        (sent,) = core.ports.sent[before:]
        assert isinstance(sent[1].message, Error)


def test_an_error_in_our_own_code_has_a_number_and_tells_nothing(core: CoreRig, monkeypatch) -> None:
    alice = core.user()
    monkeypatch.setattr(Lists, "of", lambda _self, _user: 1 / 0)
    answer = alice.ask(ListJobs())
    assert code_of(answer) == "INTERNAL"
    assert answer.error.err_id
    assert "division" not in repr(answer)


def test_bye_ends_a_session_and_no_job(core: CoreRig) -> None:
    alice = core.user().upload()
    job = alice.submit()
    alice.post(Bye())
    assert code_of(alice.ask(ListJobs())) == "PROTO.SESSION"
    assert job in core.state.jobs


def test_who_is_silent_is_forgotten_unless_the_machine_slept(core: CoreRig) -> None:
    alice, bob = core.user(ALICE), core.user(BOB)
    core.ports.clock += 8 * 3600
    core.tick()
    assert len(core.state.sessions) == 2
    for _ in range(int(SILENCE_LIMIT) + 2):
        core.tick(1.0)
        bob.ask(Ping(1))
    assert code_of(alice.ask(ListJobs())) == "PROTO.SESSION"
    assert isinstance(bob.ask(ListJobs()), Jobs)


def test_a_user_has_a_limited_number_of_sessions(make_core) -> None:
    core = make_core(quotas=QuotaConfig(sessions_per_user=2, sessions=3, disk_floor=0))
    first, *_others = (core.user(ALICE) for _ in range(3))
    assert len(core.state.sessions) == 2
    assert code_of(first.ask(ListJobs())) == "PROTO.SESSION"
    core.user(BOB)
    core.user(BOB)
    assert len(core.state.sessions) == 3


def test_a_connection_that_is_gone_takes_its_session_along(core: CoreRig) -> None:
    alice = core.user()
    core.core.unreachable(alice.bulk)
    assert code_of(alice.ask(Ping(1), bulk=True)) == "PROTO.SESSION"
    assert isinstance(alice.ask(Hello(((1, 0),), "x", alice.session), bulk=True), Welcome)
    core.core.unreachable(alice.ctl)
    assert len(core.state.sessions) == 0
    core.core.unreachable(alice.ctl)  # Twice is no matter.


def test_a_second_hello_replaces_the_session_of_that_connection(core: CoreRig) -> None:
    alice = core.user()
    old = alice.session
    alice.hello()
    assert alice.session != old
    assert len(core.state.sessions) == 1


def test_each_answer_names_its_request_and_the_epoch(core: CoreRig) -> None:
    alice = core.user().upload()
    envelope = Envelope(Submit("1" * 32, spec()), request_id(), session=alice.session)
    core.core.received(alice.ctl, encode(envelope))
    core.settle()
    answer = core.ports.sent[-1][1]
    assert isinstance(answer.message, Accepted)
    assert (answer.re, answer.epoch, answer.session) == (envelope.id, core.state.epoch, alice.session)
