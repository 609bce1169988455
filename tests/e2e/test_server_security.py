# SPDX-License-Identifier: Apache-2.0
"""A stranger, a curious colleague and a poisoned file against a server that was really started, with umask 0.

| Refused | Here | With the reasons, elsewhere |
|---|---|---|
| no key, a plain ZeroMQ socket | `without_a_key` | broker/test_security: `without_curve…` |
| a key that is not on the list; a false server | `a_wrong_key…` | test_server_runs; broker/test_security |
| a key that was taken back | – | broker/test_security: `a_paired_client_comes_in_and_goes…` |
| HTTP, as from a browser | `a_browser_is_not_understood` | – |
| raw bytes before the handshake: at most 1 MiB | `raw_bytes_cost…` | broker/test_security: unfinished frames |
| another client's job | `another_clients_job…` | broker/test_core_sessions, test_core_controls |
| another client's blobs | `another_clients_blobs…` | broker/test_core_sessions, test_core_transfers |
| commands for admins | `commands_for_admins…` | broker/test_core_controls |
| paths as names of models, jobs, blobs | `paths_are_no_names` | worker/test_model_store, recipes/test_settings |
| pickles as models | – | worker/test_model_store: by suffix, by content, behind links |
| a pickle as a checkpoint | files: `a_pickle_is_never_run` | worker/test_job: a damaged checkpoint |
| code that could load pickles at all | files: `no_source_can_load…` | – |
| wildcard addresses | files: `a_wildcard_address…` | broker/test_security: all spellings; commands/test_commands |
| listeners outside of this machine | files: `nothing_listens…` | broker/test_security: `all_listeners…` |
| files that others can read | files: `files_are_the_owners…` | broker/test_security; commands/test_doctor finds them |
| paths in errors | files: `errors_name_no_path` | worker/test_job: an unexpected error |

"files" is test_server_security_files.
"""

from __future__ import annotations

import os
import socket
import uuid

import msgpack
import psutil
import pytest
import zmq

from blender_addon.protocol.codec import Envelope, encode, request_id
from blender_addon.protocol.errors import WireError
from blender_addon.protocol.messages import (
    Attach,
    BlobNeed,
    BlobPut,
    BlobQuery,
    Cancel,
    Detach,
    Drain,
    Error,
    FreeGpu,
    Get,
    Hello,
    Jobs,
    JobState,
    ListJobs,
    Pause,
    Ping,
    Pong,
    Reorder,
    ResultAck,
    Resume,
    Submit,
)
from server.broker.sessions.auth import new_key_pair
from tests.e2e.server_rig import oracle_job
from tests.server.broker.rig import Client, error_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.usefixtures("warm_processes")]
MIB = 1 << 20


def _hears_nothing(client: Client, bulk: bool) -> bool:
    client.post(Hello(((1, 0),), "stranger"), bulk=bulk)
    return client.receive(0.5) is None


@pytest.mark.parametrize("channel", [0, 1])
def test_without_a_key_nobody_is_heard(started, channel):
    """CVE-2024-50050 (Meta Llama), CVE-2026-3059 and -3060 (SGLang), together "ShadowMQ", and CVE-2025-30202 (vLLM):
    ZeroMQ sockets that took messages, pickles even, of whoever connected."""
    context = zmq.Context()
    plain = context.socket(zmq.DEALER)
    plain.linger = 0
    plain.connect(f"tcp://127.0.0.1:{started.ports[channel]}")
    plain.send_multipart([b"TXP1", b"\x80\x04N."])
    assert not plain.poll(500)
    plain.close()
    context.term()


@pytest.mark.parametrize("channel", [0, 1])
@pytest.mark.parametrize("whose", ["client", "server"])
def test_a_wrong_key_on_either_side_is_not_heard(started, whose, channel):
    """CVE-2023-48022 (ShadowRay): a job interface that asks nobody who they are."""
    if whose == "client":
        stranger = started.client(new_key_pair(), hello=False)
    else:
        stranger = started.client(hello=False, server_public=new_key_pair().public)
    assert _hears_nothing(stranger, bulk=bool(channel))


@pytest.mark.parametrize("channel", [0, 1])
def test_a_browser_is_not_understood(started, channel):
    """CVE-2024-10481 (ComfyUI) and CVE-2026-27482 (Ray): any web page could send requests to a server on localhost."""
    request = b"POST /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}"
    with socket.create_connection(("127.0.0.1", started.ports[channel])) as raw:
        raw.settimeout(1.0)
        raw.sendall(request)
        assert b"HTTP" not in _all_that_comes(raw)


def _all_that_comes(raw: socket.socket) -> bytes:
    heard = b""
    try:
        while piece := raw.recv(4096):
            heard += piece
    except (TimeoutError, ConnectionError):
        pass
    return heard


_GREETING = b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00"
_ATTACKS = {
    "zeros": bytes(MIB),
    "random": os.urandom(MIB),
    "no mechanism, and frames without end": _GREETING + b"NULL" + bytes(48) + b"\x01\xff" + bytes(255) * 4096,
    "curve, and one frame of a gigabyte": _GREETING + b"CURVE" + bytes(47) + b"\x06" + (1 << 30).to_bytes(8, "big"),
    "an old version of the transport": b"\xff" + (1 << 40).to_bytes(8, "big") + b"\x7f\x01" + bytes(MIB),
}


def test_raw_bytes_cost_less_than_a_mebibyte(started):
    """A plain ZeroMQ socket keeps what it is sent, 508 MiB when this was measured, before anybody is asked for a key;
    CVE-2019-13132 and CVE-2020-15166 are holes of libzmq in the same place, which the doctor looks for."""
    server = psutil.Process(started.process.pid)
    for attack in _ATTACKS.values():  # The first connection of each kind may fill caches.
        _attack(started.ports[0], attack).close()
    before, highest = server.memory_info().rss, 0
    open_ones = []
    for _round in range(6):
        for attack in _ATTACKS.values():
            for port in started.ports:
                open_ones.append(_attack(port, attack))
                highest = max(highest, server.memory_info().rss)
    for raw in open_ones:
        raw.close()
    assert highest - before <= MIB, f"{(highest - before) / MIB:.2f} MiB"
    assert started.client().ask(Ping(1)) == Pong(1)


def _attack(port: int, data: bytes) -> socket.socket:
    """Send all that the other side takes, up to 16 times, and leave the connection open."""
    raw = socket.create_connection(("127.0.0.1", port))
    raw.settimeout(0.05)
    try:
        for _ in range(16):
            raw.sendall(data)
    except (TimeoutError, ConnectionError):
        pass
    return raw


@pytest.mark.parametrize("which", ["finished", "running"])
@pytest.mark.parametrize("request_type", [Cancel, Attach, Pause, Resume, Reorder, ResultAck])
def test_another_clients_job_does_not_exist(alice, bob, request_type, which):
    """ComfyUI interrupts whatever runs, whoever's it is (issue 2566). Here another's job is as one that never was."""
    theirs = bob.ask(request_type(getattr(alice, which)))
    nobodys = bob.ask(request_type(uuid.uuid4().hex))
    assert error_of(theirs) == "JOB.UNKNOWN"
    assert theirs == nobodys
    assert bob.ask(ListJobs()) == Jobs(())
    infos = {info.job: info for info in alice.ask(ListJobs()).jobs}
    assert infos[alice.running].state is JobState.RUNNING
    assert not infos[alice.running].paused


def test_leaving_another_clients_job_alone_changes_nothing(alice, bob):
    """DETACH of a job that is not watched is no error; the one who watches goes on watching."""
    bob.ask(Detach(alice.running))
    seen = len(alice.events(alice.running, until=lambda event: event.step > 0))
    assert seen


def test_another_clients_blobs_do_not_exist(alice, bob):
    """Nor does the server say that it has such bytes already: who knows a mesh's hash must not learn that a
    colleague works on it."""
    results = [alice.result.config_json_sha256, *(file.sha256 for file in alice.result.maps)]
    for sha256 in [*alice.hashes, *results]:
        theirs = bob.ask(Get(sha256, 0, 1), bulk=True)
        assert error_of(theirs) == "INPUT.MISSING_BLOB"
        assert theirs == bob.ask(Get("0" * 64, 0, 1), bulk=True)
        assert not isinstance(alice.ask(Get(sha256, 0, 1), bulk=True), Error)
    need = bob.ask(BlobQuery(tuple(alice.hashes)), bulk=True)
    assert isinstance(need, BlobNeed)
    assert {item.sha256 for item in need.missing} == set(alice.hashes)
    assert all(item.received == 0 for item in need.missing)
    stolen = bob.ask(Submit(uuid.uuid4().hex, oracle_job(steps=3)[0]))
    assert error_of(stolen) == "INPUT.MISSING_BLOB"


def test_commands_for_admins_are_refused_to_artists(bob):
    """CVE-2026-27482 (Ray): whoever reached the dashboard could delete others' work."""
    assert error_of(bob.ask(Drain())) == "AUTH.FORBIDDEN"
    assert error_of(bob.ask(FreeGpu())) == "AUTH.FORBIDDEN"
    assert bob.ask(Ping(3)) == Pong(3)


_PATHS = ["../../../../etc/passwd", "/etc/passwd", "..", "C:\\x", "owner/model", "pocket/../../x", "file:///etc/passwd"]


@pytest.mark.parametrize("name", _PATHS)
def test_paths_are_no_names(alice, name):
    """CVE-2026-27905 (BentoML), CVE-2026-24208 (Triton): a model's name that leads out of its folder. The requests are
    written by hand: a client's own copy of the rules would not send them."""
    refused = _ask_by_hand(alice, Submit("0" * 32, oracle_job(steps=3)[0]), {"spec.guidance.model": name})
    assert refused.field in ("spec.guidance.model", "guidance.model")
    assert refused.code.value in ("INPUT.INVALID", "MODEL.MISSING")
    for message in (Attach("x"), Cancel("x"), Pause("x"), ResultAck("x")):
        assert _ask_by_hand(alice, message, {"job": name}).code.value == "JOB.UNKNOWN"
    assert _ask_by_hand(alice, Get("0" * 64, 0, 1), {"sha256": name}, bulk=True).field == "sha256"
    assert _ask_by_hand(alice, BlobQuery(()), {"hashes": [name]}, bulk=True).field == "hashes[0]"
    put = _ask_by_hand(alice, BlobPut("0" * 64, 1, 0), {"sha256": name}, b"x", bulk=True)
    assert put.field == "sha256"


def _ask_by_hand(client: Client, message, changes: dict, *buffers: bytes, bulk: bool = False) -> WireError:
    """Send a message whose fields were changed after all checks of this side; returns the error that answers it."""
    magic, header, *rest = encode(Envelope(message, request_id(), session=client.session, buffers=buffers))
    plain = msgpack.unpackb(header)
    for path, value in changes.items():
        *folders, last = path.split(".")
        place = plain["body"]
        for folder in folders:
            place = place[folder]
        assert last in place
        place[last] = value
    client.sockets[bulk].send_multipart([magic, msgpack.packb(plain), *rest])
    while (envelope := client.receive()) is not None:
        if envelope.re == plain["id"]:
            assert isinstance(envelope.message, Error), envelope.message
            return envelope.message.error
        client.unasked.append(envelope)
    raise AssertionError(f"no answer to {message}")
