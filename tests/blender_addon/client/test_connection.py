# SPDX-License-Identifier: Apache-2.0
"""Connecting, silence, sleep, restarts and refusals, on a clock of the test's own."""

from dataclasses import replace

import pytest

from blender_addon.client.events import Connected, Disconnected, Refused, ServerStarting
from blender_addon.client.link import Link, Loss, SessionConfig
from blender_addon.client.requests import Channel
from blender_addon.protocol.errors import ErrorCode, ProtocolError, Retry, WireError
from blender_addon.protocol.limits import DEFAULT_LIMITS
from blender_addon.protocol.messages import Bye, Done, Error, Hello, ListJobs, Ping, Pong, Reject
from tests.blender_addon.client.harness import EPOCH, SESSION, Rig, welcome


def wire_error(code, retry=Retry.NEVER):
    return WireError(code=code, retry=retry, text="No.")


@pytest.fixture
def rig():
    return Rig()


@pytest.fixture
def ready():
    rig = Rig()
    rig.connect()
    rig.all_events()
    rig.sent.clear()
    return rig


def test_hello_on_ctl_then_on_bulk_with_the_session_then_connected(rig):
    assert rig.opens == 1
    hello = rig.taken(Hello)
    assert hello.message.protocols == ((1, 2),)
    assert hello.message.session is None
    rig.reply(hello, welcome())
    second = rig.taken(Hello)
    assert second.message.session == second.session == SESSION
    assert rig.session.link is Link.OPENING
    rig.reply(second, welcome(), channel=Channel.BULK)
    assert rig.session.link is Link.READY
    [event] = rig.events_of(Connected)
    assert (event.epoch, event.devices, event.again) == (EPOCH, ("cpu",), False)
    assert event.limits == DEFAULT_LIMITS


def test_the_servers_limits_are_told(rig):
    limits = replace(DEFAULT_LIMITS, triangles=1000, job_texels=1 << 20, job_bytes=7)
    for channel in (Channel.CTL, Channel.BULK):
        rig.reply(rig.taken(Hello), replace(welcome(), limits=limits), channel=channel)
    [event] = rig.events_of(Connected)
    assert event.limits == limits


def test_a_server_that_never_answers_is_tried_again_with_growing_waits(rig):
    waits = []
    for _ in range(4):
        rig.tick(5.0)
        assert rig.session.link is Link.WAITING
        waits += [event.retry_in for event in rig.events_of(Disconnected)]
        rig.tick(rig.session.deadline - rig.mono)
    assert waits == [0.25, 0.5, 1.0, 2.0]
    assert rig.opens == 5


def test_pings_go_out_on_both_channels_and_silence_is_a_loss(ready):
    for _ in range(2):
        ready.tick(2.0)
        assert {send.channel for send in ready.sent if isinstance(send.envelope.message, Ping)} == set(Channel)
        for send in list(ready.sent):
            ready.reply(send.envelope, Pong(n=send.envelope.message.n), channel=send.channel)
        ready.sent.clear()
    for _ in range(2):
        ready.tick(2.0)
        assert ready.session.link is Link.READY
    ready.tick(2.0)
    assert ready.session.link is Link.WAITING
    [event] = ready.events_of(Disconnected)
    assert "silent" in event.reason


def test_silence_on_one_channel_alone_is_a_loss_too(ready):
    for _ in range(3):
        ready.tick(2.0)
        for ping in ready.all_of(Ping):
            ready.reply(ping, Pong(n=ping.message.n), channel=Channel.CTL)
    assert ready.session.link is Link.WAITING


def test_after_a_sleep_the_connection_gets_one_interval_to_answer(ready):
    # Eight hours in which nothing could be heard.
    ready.mono += 8 * 3600
    ready.session.gap(ready.now)
    ready.tick()
    pings = ready.all_of(Ping)
    assert len(pings) == 2
    for channel, ping in zip(Channel, pings, strict=True):
        ready.reply(ping, Pong(n=ping.message.n), channel=channel)
    ready.tick(3.9)
    assert ready.session.link is Link.READY


def test_a_connection_that_died_in_the_sleep_is_replaced_soon(ready):
    ready.mono += 8 * 3600
    ready.session.gap(ready.now)
    ready.tick()
    ready.tick(2.0)
    assert ready.session.link is Link.WAITING
    ready.tick(0.25)
    assert ready.session.link is Link.OPENING


def test_a_lost_connection_is_made_anew_with_a_new_session(ready):
    ready.session.lost(Loss.CLOSED, ready.now)
    ready.collect()
    assert ready.closes == 1
    ready.tick(0.25)
    assert ready.opens == 2
    assert ready.taken(Hello).message.session is None


def test_what_was_not_answered_goes_out_again_under_its_id(ready):
    answers = []
    ready.session.port.ask(Channel.CTL, ListJobs(), answers.append)
    ready.collect()
    first = ready.taken(ListJobs)
    ready.session.lost(Loss.CLOSED, ready.now)
    ready.collect()
    ready.tick(0.25)
    ready.connect(epoch="d" * 32, session="6" * 32)
    again = ready.taken(ListJobs)
    assert again.id == first.id
    assert again.session == "6" * 32
    for _ in range(2):
        ready.reply(again, Done(), epoch="d" * 32)
    assert len(answers) == 1
    assert ready.session.port.unanswered == 0


def test_an_unanswered_request_goes_out_again_after_a_minute(ready):
    ready.session.port.ask(Channel.CTL, ListJobs(), lambda answer: None)
    ready.collect()
    first = ready.taken(ListJobs)
    for _ in range(60):
        for send in list(ready.sent):
            ready.reply(send.envelope, Pong(n=0), channel=send.channel)
        ready.sent = [send for send in ready.sent if isinstance(send.envelope.message, ListJobs)]
        ready.tick(1.0)
    assert ready.taken(ListJobs).id == first.id


def test_a_restarted_server_is_noticed_by_its_epoch(ready):
    ready.session.lost(Loss.CLOSED, ready.now)
    ready.collect()
    ready.tick(0.25)
    ready.connect(epoch="d" * 32)
    [event] = ready.events_of(Connected)
    assert event.again


def test_a_message_of_another_epoch_ends_the_connection_at_once(ready):
    ready.push(Pong(n=1), epoch="d" * 32)
    assert ready.session.link is Link.WAITING
    ready.tick()
    assert ready.session.link is Link.OPENING


def test_a_server_that_forgot_the_session_is_greeted_anew(ready):
    ready.session.port.ask(Channel.CTL, ListJobs(), lambda answer: None)
    ready.collect()
    request = ready.taken(ListJobs)
    ready.reply(request, Error(error=wire_error(ErrorCode.PROTO_SESSION, Retry.SAME)))
    ready.tick()
    assert ready.taken(Hello).message.session is None
    assert ready.session.port.unanswered == 1


def test_a_version_that_does_not_fit_is_said_once_and_tried_rarely(rig):
    rig.reply(rig.taken(Hello), Reject(error=wire_error(ErrorCode.PROTO_VERSION)))
    [event] = rig.events_of(Refused)
    assert event.error.code is ErrorCode.PROTO_VERSION
    rig.tick(29.0)
    assert rig.opens == 1
    rig.tick(1.0)
    assert rig.opens == 2
    rig.reply(rig.taken(Hello), Reject(error=wire_error(ErrorCode.PROTO_VERSION)))
    assert rig.events_of(Refused) == []


def test_after_a_refusal_a_new_connection_file_is_tried_at_once(rig):
    rig.reply(rig.taken(Hello), Reject(error=wire_error(ErrorCode.PROTO_VERSION)))
    rig.session.address_changed(rig.now)
    rig.tick()
    assert rig.opens == 2


def test_a_wrong_key_is_a_refusal(rig):
    rig.session.lost(Loss.AUTH, rig.now)
    [event] = rig.events_of(Refused)
    assert event.error.code is ErrorCode.AUTH_REFUSED
    assert "pgc-server pair" in event.error.hint


def test_hang_ups_in_the_handshake_are_a_wrong_key_the_third_time_only(rig):
    for _ in range(2):
        rig.session.lost(Loss.HANDSHAKE, rig.now)
        assert rig.events_of(Refused) == []
        rig.tick(1.0)
    rig.session.lost(Loss.HANDSHAKE, rig.now)
    [event] = rig.events_of(Refused)
    assert event.error.code is ErrorCode.AUTH_REFUSED


def test_nobody_there_starts_a_server_once_in_a_while():
    rig = Rig(may_start=True)
    for _ in range(10):
        rig.session.lost(Loss.NOBODY, rig.now)
        rig.collect()
        rig.tick(8.0)
    # 80 s, one start every 30 s at most.
    assert rig.starts == 3
    assert len(rig.events_of(ServerStarting)) == 3


def test_a_server_that_came_up_and_crashed_is_started_again_soon():
    rig = Rig(may_start=True)
    rig.session.lost(Loss.NOBODY, rig.now)
    rig.collect()
    rig.tick(0.25)
    rig.connect()
    for seconds in (1.0, 2.0):
        rig.tick(seconds)
        rig.session.lost(Loss.CLOSED, rig.now)
        rig.collect()
        rig.tick(0.25)
        rig.session.lost(Loss.NOBODY, rig.now)
        rig.collect()
        rig.tick(0.5)
        rig.connect()
    # Not after 1 s, which would be a storm; after 2 s it was.
    assert rig.starts == 2


def test_without_a_starter_nothing_is_started(rig):
    rig.session.lost(Loss.NOBODY, rig.now)
    rig.collect()
    assert rig.starts == 0


def test_bytes_that_are_no_message_end_the_connection(ready):
    ready.session.damaged(ProtocolError(wire_error(ErrorCode.PROTO_BAD_FRAME)), ready.now)
    assert ready.session.link is Link.WAITING


def test_a_server_that_ends_says_so(ready):
    ready.push(Bye())
    assert ready.session.link is Link.WAITING


def test_leaving_says_goodbye(ready):
    ready.session.goodbye()
    ready.collect()
    assert isinstance(ready.taken(Bye).message, Bye)


def test_the_deadline_is_never_behind_what_is_due():
    rig = Rig(SessionConfig(open_limit=5.0))
    assert rig.session.deadline == rig.mono + 5.0
    rig.connect()
    assert rig.session.deadline == rig.mono + 2.0
