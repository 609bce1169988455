# SPDX-License-Identifier: Apache-2.0
"""What each connection may leave in memory, and whose large messages go first. Time and counts are made up."""

import pytest

from blender_addon.protocol.codec import Envelope, encode, peek_type, request_id
from blender_addon.protocol.messages import Attach, Hello, ListJobs, Message, Ping, Reject
from server.broker.ports import Address, Channel
from server.broker.refusals import internal
from server.broker.sessions.flood_guard import FloodGuard, GuardSettings, wire_size
from server.broker.sessions.lanes import Lanes, LanesSettings
from server.broker.sessions.tcp_counts import bytes_read, can_count

KIB = 1 << 10


class Connections:
    """Counts as the system would tell them."""

    def __init__(self) -> None:
        self.bytes: dict[int, int] = {}
        self.guard = FloodGuard(GuardSettings(unfinished=300 * KIB, waiting=8000 * KIB), self._count)

    def _count(self, descriptor: int) -> int:
        if descriptor not in self.bytes:
            raise OSError("no such connection")
        return self.bytes[descriptor]

    def open(self, descriptor: int, now: float = 0.0) -> None:
        self.bytes[descriptor] = 700
        self.guard.opened(descriptor, now)

    def offenders(self, now: float, emptied: bool = True) -> list[int]:
        self.guard.note()
        return self.guard.offenders(emptied, now)


@pytest.fixture
def connections():
    found = Connections()
    found.open(7)
    return found


def test_a_message_without_end_is_noticed_while_it_comes(connections):
    for sent in range(0, 300 * KIB, 30 * KIB):
        connections.bytes[7] = sent
        assert connections.offenders(1.0) == []
    connections.bytes[7] = 310 * KIB
    assert connections.offenders(1.0) == [7]


def test_whole_messages_may_wait_and_have_a_limit_too(connections):
    connections.bytes[7] = 7000 * KIB
    assert connections.offenders(1.0, emptied=False) == []
    connections.bytes[7] = 9000 * KIB
    assert connections.offenders(1.0, emptied=False) == [7]


def test_what_was_taken_does_not_count(connections):
    for number in range(100):
        connections.bytes[7] += 200 * KIB
        connections.guard.took(7, "a", 200 * KIB, number * 0.1)
        assert connections.offenders(number * 0.1) == []
    assert connections.guard.of_user("a") == [7]


def test_heartbeats_of_a_day_are_no_flood_and_no_credit(connections):
    """They are never taken as messages; what is allowed for them must not add up either."""
    day = 24 * 3600
    for second in range(0, day, 60):
        connections.bytes[7] += 60 * 60 + 200
        connections.guard.took(7, "a", 200, float(second))
        assert connections.offenders(float(second)) == []
    connections.bytes[7] += 330 * KIB
    assert connections.offenders(float(day - 60)) == [7]


def test_a_message_that_drips_for_ever_ends_with_its_connection(connections):
    for second in range(0, 600, 10):
        connections.bytes[7] += 200 * 10
        assert connections.offenders(float(second)) == []
    assert connections.offenders(601.0) == [7]


def test_a_descriptor_that_is_another_connections_starts_anew(connections):
    connections.bytes[7] = 290 * KIB
    connections.guard.closed(7)
    connections.open(7, now=5.0)
    connections.bytes[7] = 200 * KIB
    assert connections.offenders(5.0) == []
    del connections.bytes[7]
    assert connections.offenders(5.0) == []
    assert len(connections.guard) == 0


def test_what_has_moved_on_any_connection_is_news_and_heartbeats_are_none(connections):
    connections.open(8)
    connections.guard.note()
    assert not connections.guard.note()
    connections.bytes[7] += 4000
    assert not connections.guard.note(), "a handshake, or heartbeats"
    for moved in (7, 8):
        connections.bytes[moved] += 5000
        assert connections.guard.note(), moved
    # That one has just ended says nothing of those that follow.
    del connections.bytes[7]
    connections.bytes[8] += 5000
    assert connections.guard.note()
    assert connections.guard.holdings(0.0) == {8: 700 + 5000 + 5000 - 4096}


def test_the_size_on_the_wire_is_what_curve_makes_of_frames():
    assert wire_size([0]) == 35
    assert wire_size([222, 223]) == 257 + 265
    assert wire_size([1 << 20]) == (1 << 20) + 42


def test_this_system_counts_or_says_that_it_does_not(monkeypatch):
    assert can_count()
    monkeypatch.setattr("sys.platform", "plan9")
    assert not can_count()
    with pytest.raises(OSError, match="does not tell"):
        bytes_read(0)


class Lines:
    """Lanes, and what became of each message."""

    def __init__(self, **settings) -> None:
        self.handled: list[str] = []
        self.refused: list[str] = []
        self.floods: list[str] = []
        self.lanes = Lanes(
            lambda _address, frames: self.handled.append(bytes(frames[1][:4]).decode(errors="replace")),
            lambda _address, frames: self.refused.append(bytes(frames[1][:4]).decode()),
            lambda address: self.floods.append(address.user),
            LanesSettings(**settings),
        )

    def send(self, user: str, name: str, size: int = 100 * KIB, connection: str = "") -> None:
        address = Address(Channel.CTL, (user + connection).encode(), user)
        self.lanes.take(address, [b"TXP1", name.encode().ljust(4).ljust(size)])

    def all(self) -> list[str]:
        while self.lanes.turn():
            pass
        return [name.strip() for name in self.handled]


def test_small_messages_go_at_once_and_large_ones_in_turns():
    lines = Lines()
    for name in ("a1", "a2", "a3", "b1"):
        lines.send(name[0], name)
    lines.send("c", "c1", size=50)
    assert lines.handled == ["c1  "]
    assert lines.all() == ["c1", "a1", "b1", "a2", "a3"]
    assert len(lines.lanes) == 0


def test_a_connections_messages_keep_their_order():
    lines = Lines()
    lines.send("a", "a1")
    lines.send("a", "a2", size=50)
    lines.send("a", "a3", size=50, connection="other")
    assert lines.all() == ["a3", "a1", "a2"]


def test_what_does_not_fit_is_refused_and_who_goes_on_is_a_flood():
    lines = Lines(messages=2, size=250 * KIB, patience=3)
    lines.send("b", "b1", size=240 * KIB)
    lines.send("b", "b2")
    assert lines.refused == ["b2  "]
    for number in range(7):
        lines.send("a", f"a{number}")
    assert lines.refused == ["b2  ", "a2  ", "a3  ", "a4  "]
    assert lines.floods == ["a", "a"]
    lines.lanes.forget("a")
    assert lines.all() == ["b1"]


class Sender:
    """Whole messages into lanes; the types of those that were handled, in order, each with its user."""

    def __init__(self) -> None:
        self.handled: list[str] = []
        self.refused: list[str] = []
        self.lanes = Lanes(self._note(self.handled), self._note(self.refused), lambda _address: None)

    @staticmethod
    def _note(into: list[str]):
        return lambda address, frames: into.append(f"{address.user} {peek_type(frames)}")

    def send(self, user: str, message: Message, connection: int = 0) -> None:
        address = Address(Channel.CTL, f"{user}{connection}".encode(), user)
        self.lanes.take(address, encode(Envelope(message, request_id())))


def test_known_sessions_are_answered_before_a_storm_of_new_ones_and_newcomers_of_others_after_one_of_it():
    """The lists of jobs in a hundred WELCOMEs, 5 ms each, kept a PING waiting for as long as they took together."""
    sender = Sender()
    for number in range(40):
        sender.send("storm", Hello(((1, 0),), "storm"), number)
    sender.send("artist", Ping(1))
    sender.send("artist", Hello(((1, 0),), "newcomer"), 1)
    sender.send("artist", Attach("0" * 32), 2)
    assert sender.handled == ["artist PING", "artist ATTACH"]
    for _ in range(2):
        sender.lanes.turn()
    assert sender.handled[2:] == ["storm HELLO", "artist HELLO"]


def test_lists_wait_as_new_sessions_do_and_what_follows_on_their_connection_too():
    sender = Sender()
    sender.send("a", ListJobs())
    sender.send("a", Ping(1))
    sender.send("b", Ping(2))
    while sender.lanes.turn():
        pass
    assert sender.handled == ["b PING", "a LIST", "a PING"]


def test_a_storm_longer_than_its_line_is_told_to_wait():
    sender = Sender()
    for number in range(66):
        sender.send("storm", Hello(((1, 0),), "storm"), number)
    assert sender.refused == ["storm HELLO"] * 2


def test_a_message_that_only_mentions_a_list_waits_for_nobody():
    sender = Sender()
    sender.send("a", Hello(((1, 0),), "x"))
    sender.send("b", Reject(internal("LIST and HELLO")))
    assert sender.handled == ["b REJECT"]


def test_rubbish_goes_at_once_and_is_refused_by_whoever_decodes_it():
    lines = Lines()
    for header in (b"LIST", b"HELLO" * 100, b"\x82\xa1t\xa4LIST"):
        lines.lanes.take(Address(Channel.CTL, b"a", "a"), [b"TXP1", header])
    assert len(lines.handled) == 2
    assert len(lines.lanes) == 1
