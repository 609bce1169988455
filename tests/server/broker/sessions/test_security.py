# SPDX-License-Identifier: Apache-2.0
"""Who gets in, and what raw bytes cost. Real sockets."""

import hashlib
import json
import socket
import stat
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import zmq
from zmq.utils import z85

from blender_addon.protocol.messages import Drain, Get, Hello, Ping, Pong, Reject, Welcome
from server.broker.main import run_broker
from server.broker.sessions.auth import (
    CLIENT_DOMAIN,
    KeyPair,
    Role,
    ZapHandler,
    add_client,
    load_key_pair,
    new_key_pair,
    read_allow_list,
    remove_client,
)
from server.config import ListenConfig, ServerConfig, ServerPaths
from server.errors import AlreadyRunningError, ConfigError, JournalError, ListenError
from server.storage.connection import read_connection, remove_connection
from server.storage.journal import Journal
from tests.server.broker.rig import Client, FakeExecutor, Rig, error_of


def _is_deaf(client: Client, seconds: float = 0.5) -> bool:
    client.post(Hello(((1, 0),), "test"))
    return client.receive(seconds) is None


def test_a_key_that_is_not_on_the_list_gets_no_answer(rig: Rig) -> None:
    rig.start()
    stranger = rig.client(new_key_pair(), hello=False)
    assert _is_deaf(stranger)


def test_without_curve_there_is_no_answer(rig: Rig) -> None:
    """CVE-2025-30202 (an open ZeroMQ socket of vLLM) and ShadowMQ: nobody is heard before the handshake."""
    rig.start()
    connection = read_connection(rig.paths.connection)
    context = zmq.Context()
    plain = context.socket(zmq.DEALER)
    plain.linger = 0
    plain.connect(f"tcp://127.0.0.1:{connection.ctl_port}")
    plain.send_multipart([b"TXP1", b"\x80"])
    assert not plain.poll(300)
    plain.close()
    context.term()


def test_the_wrong_key_of_the_server_gets_no_answer(rig: Rig) -> None:
    rig.start()
    connection = replace(read_connection(rig.paths.connection), server_public=new_key_pair().public)
    client = Client(connection)
    rig.clients.append(client)
    assert _is_deaf(client)


def test_a_childs_port_is_closed_to_clients(rig: Rig) -> None:
    rig.start()
    connection = read_connection(rig.paths.connection)
    ports = {
        entry.laddr.port
        for entry in psutil.Process().net_connections("tcp")
        if entry.status == psutil.CONN_LISTEN and entry.laddr.ip == "127.0.0.1"
    }
    others = ports - {connection.ctl_port, connection.bulk_port}
    assert others
    for port in others:
        client = Client(replace(connection, ctl_port=port))
        rig.clients.append(client)
        assert _is_deaf(client, 0.2)


def test_all_listeners_are_on_loopback(rig: Rig) -> None:
    before = {entry.laddr for entry in psutil.Process().net_connections("tcp") if entry.status == psutil.CONN_LISTEN}
    rig.start()
    after = {entry.laddr for entry in psutil.Process().net_connections("tcp") if entry.status == psutil.CONN_LISTEN}
    assert len(after - before) == 3
    assert {address.ip for address in after - before} == {"127.0.0.1"}


def test_a_paired_client_comes_in_and_goes_when_its_key_is_taken_back(rig: Rig, monkeypatch) -> None:
    monkeypatch.setattr("server.broker.main._LOOK_SECONDS", 0.05)
    rig.start()
    keys = new_key_pair()
    add_client(rig.paths, "studio-2", keys.public)
    deadline = time.monotonic() + 60
    while True:
        client = rig.client(keys, hello=False)
        if not _is_deaf(client, 0.3):
            break
        assert time.monotonic() < deadline
    client = rig.client(keys)
    assert error_of(client.ask(Drain())) == "AUTH.FORBIDDEN"
    assert remove_client(rig.paths, "studio-2")
    monitor = client.sockets[0].get_monitor_socket(zmq.EVENT_DISCONNECTED)
    told = client.receive(60)
    assert isinstance(told.message, Reject), "it is told without asking"
    assert told.message.error.code.value == "AUTH.REFUSED"
    assert monitor.poll(5000), "and its connection is closed"
    client.sockets[0].disable_monitor()
    monitor.close()
    assert _is_deaf(client, 0.5), "it does not come in again"
    assert rig.client().ask(Ping(5)) == Pong(5), "others are not touched"


def test_a_damaged_entry_of_the_allow_list_is_logged_once_for_each_change(rig: Rig, monkeypatch, caplog) -> None:
    """It was logged every two seconds."""
    monkeypatch.setattr("server.broker.main._LOOK_SECONDS", 0.02)
    rig.start()
    add_client(rig.paths, "whole", new_key_pair().public)
    folder = rig.paths.keys / "clients"

    def said(count: int) -> list[str]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = [record.getMessage() for record in caplog.records if "allow-list" in record.getMessage()]
            if len(found) >= count:
                break
            time.sleep(0.02)
        time.sleep(0.3)  # Fifteen more looks.
        return [record.getMessage() for record in caplog.records if "allow-list" in record.getMessage()]

    def put(name: str, text: str) -> None:
        """Whole at once: half a file would be another change."""
        (folder / "new").write_text(text)
        (folder / "new").replace(folder / name)

    put("a.json", "{")
    assert len(said(1)) == 1
    put("b.json", '{"name": "b", "public": "short", "role": "artist"}')
    assert len(said(2)) == 2
    (folder / "a.json").unlink()
    assert len(said(3)) == 3
    (folder / "b.json").unlink()
    time.sleep(0.2)
    put("b.json", "[]")
    lines = said(4)
    assert len(lines) == 4
    assert [name for line in lines for name in ("a.json", "b.json") if name in line] == [
        "a.json", "a.json", "b.json", "b.json", "b.json",
    ]  # fmt: skip


def test_raw_bytes_before_the_handshake_cost_no_memory(rig: Rig) -> None:
    """A plain ZeroMQ socket kept 508 MiB of an unfinished message (shared/reference/server.md, finding 1)."""
    rig.start()
    connection = read_connection(rig.paths.connection)
    before = psutil.Process().memory_info().rss
    sent = 0
    with socket.create_connection(("127.0.0.1", connection.ctl_port)) as raw:
        raw.settimeout(1.0)
        frame = b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL" + bytes(48)
        try:
            raw.sendall(frame)
            for _ in range(64):
                raw.sendall(b"\x03" + (1 << 20).to_bytes(8, "big") + bytes(1 << 20))
                sent += 1
        except OSError:
            pass
    assert sent < 64
    grown = psutil.Process().memory_info().rss - before
    assert grown < 4 << 20
    assert rig.client().ask(Ping(1)) == Pong(1)


def test_a_frame_that_is_too_large_costs_its_sender_the_connection(rig: Rig) -> None:
    rig.start()
    client = rig.client()
    client.sockets[0].send_multipart([b"TXP1", bytes(1 << 20)])
    assert client.receive(0.5) is None
    other = rig.client()
    assert other.ask(Ping(1)) == Pong(1)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::ffff:0.0.0.0", "224.0.0.1", "localhost", "*", ""])
def test_addresses_that_stand_for_every_network_are_refused(host: str) -> None:
    """ComfyUI's `--listen` alone meant 0.0.0.0."""
    with pytest.raises(ConfigError):
        ListenConfig(host=host)


def test_other_networks_need_somebody_to_let_in(tmp_path: Path) -> None:
    config = ServerConfig(paths=ServerPaths(tmp_path / "data"), listen=ListenConfig(host="192.0.2.1"))
    with pytest.raises(ConfigError, match="pair"):
        run_broker(config, executor=FakeExecutor())


@pytest.mark.skipif(sys.platform == "win32", reason="rights come from the directory there")
def test_files_with_secrets_are_the_owners_alone(rig: Rig) -> None:
    rig.start()
    for path in (rig.paths.connection, rig.paths.keys / "server.json", rig.paths.keys / "local.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for path in (rig.paths.root, rig.paths.keys, rig.paths.blobs, rig.paths.jobs, rig.paths.logs):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    server = load_key_pair(rig.paths, "server")
    assert server.secret not in rig.paths.connection.read_text()
    rig.stop()
    assert "secret" not in rig.paths.log_file.read_text()


def test_a_start_that_fails_leaves_nothing_running(rig: Rig) -> None:
    before = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = ListenConfig(ctl_port=taken.getsockname()[1])
        with pytest.raises(ListenError, match="is taken"):
            run_broker(replace(rig.config, listen=listen), executor=rig.executor)
    journal = Journal(rig.paths.journal)
    journal._db.execute("PRAGMA user_version = 99")
    journal.close()
    with pytest.raises(JournalError, match="version 99"):
        run_broker(rig.config, executor=rig.executor)
    assert threading.active_count() == before
    assert not rig.paths.connection.exists()
    assert rig.executor.children == []


def test_a_second_server_on_the_same_data_is_refused(rig: Rig) -> None:
    rig.start()
    before = rig.paths.connection.read_bytes()
    with pytest.raises(AlreadyRunningError, match="stop"):
        run_broker(rig.config, executor=rig.executor)
    assert rig.paths.connection.read_bytes() == before


def test_a_key_pair_stays_and_does_not_show_its_secret(tmp_path: Path) -> None:
    paths = ServerPaths(tmp_path)
    pair = load_key_pair(paths, "local")
    assert load_key_pair(paths, "local") == pair
    assert pair.secret not in repr(pair)
    for damage in (
        '{"public": "short"}',
        "[",
        "",
        json.dumps({"public": new_key_pair().public, "secret": pair.secret}),
    ):
        for name in ("local.json", "local.copy.json"):
            (paths.keys / name).write_text(damage)
            assert load_key_pair(paths, "local") == pair
            (paths.keys / name).unlink()
            assert load_key_pair(paths, "local") == pair
    assert {path.name for path in paths.quarantine.rglob("local*")} == {"local.json", "local.copy.json"}
    for name in ("local.json", "local.copy.json"):
        (paths.keys / name).write_text("[")
    with pytest.raises(ConfigError, match="new one"):
        load_key_pair(paths, "local")


@pytest.mark.parametrize("name", ["../x", "", "local", "A", "a" * 65, "a/b"])
def test_names_of_clients_are_no_paths(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        add_client(ServerPaths(tmp_path), name, new_key_pair().public)
    assert not remove_client(ServerPaths(tmp_path), name)


def test_the_allow_list_takes_whole_entries_only(tmp_path: Path) -> None:
    paths, pair = ServerPaths(tmp_path), new_key_pair()
    with pytest.raises(ConfigError, match="Z85"):
        add_client(paths, "a", "short")
    add_client(paths, "a", pair.public, Role.ADMIN)
    with pytest.raises(ConfigError, match="name"):
        add_client(paths, "a", new_key_pair().public)
    add_client(paths, "a", pair.public, Role.ARTIST)
    for name, text in (("bad", "{"), ("list", "[]"), ("role", '{"name": "x", "public": "y", "role": "king"}')):
        (paths.keys / "clients" / f"{name}.json").write_text(text)
    (paths.keys / "clients" / "key.json").write_text('{"name": "x", "public": "y", "role": "artist"}')
    found = read_allow_list(paths)
    assert [(client.name, client.role) for client in found.clients.values()] == [("a", Role.ARTIST)]
    assert set(found.damaged) == {"bad.json", "list.json", "role.json", "key.json"}
    assert not found.is_sure, "one of them may be anybody"


def test_an_entry_that_is_taken_off_while_the_list_is_read_is_not_damaged(tmp_path: Path, monkeypatch) -> None:
    paths = ServerPaths(tmp_path / "data")
    for name in ("goes", "stays"):
        add_client(paths, name, new_key_pair().public)
    (paths.keys / "clients" / "link.json").symlink_to("nothing")
    listed = Path.glob

    def glob(folder: Path, pattern: str):
        found = list(listed(folder, pattern))
        (folder / "goes.json").unlink()
        return iter(found)

    monkeypatch.setattr(Path, "glob", glob)
    allowed = read_allow_list(paths)
    assert [client.name for client in allowed.clients.values()] == ["stays"]
    assert list(allowed.damaged) == ["link.json"]


def test_an_allow_list_without_its_folder_tells_of_nobody_that_he_was_removed(tmp_path: Path) -> None:
    paths = ServerPaths(tmp_path)
    assert not read_allow_list(paths).is_sure
    add_client(paths, "a", new_key_pair().public)
    remove_client(paths, "a")
    assert read_allow_list(paths).is_sure


def test_zap_answers_only_whole_questions_of_known_keys_in_their_domain() -> None:
    context = zmq.Context()
    zap = ZapHandler(context)
    pair = new_key_pair()
    zap.allow(CLIENT_DOMAIN, frozenset({pair.public}))
    raw = z85.decode(pair.public)
    good = [b"1.0", b"1", CLIENT_DOMAIN.encode(), b"127.0.0.1", b"", b"CURVE", raw]
    assert zap.answer(good)[2:5] == [b"200", b"OK", pair.public.encode()]
    bad = [
        good[:6],
        [b"2.0", *good[1:]],
        [*good[:2], b"other", *good[3:]],
        [*good[:5], b"NULL", raw],
        [*good[:6], b"x"],
        [],
    ]
    for frames in bad:
        assert zap.answer(frames)[2] == b"400"
    assert zap.refused == len(bad)
    zap.ban(pair.public, 60.0)
    assert zap.answer(good)[2] == b"300"
    zap.ban(pair.public, 0.0)
    assert zap.answer(good)[2] == b"200"
    zap.close()
    context.term()


def test_the_connection_file_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "connection.json"
    assert read_connection(path) is None
    path.write_text("{}")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="others"):
        read_connection(path)
    path.chmod(0o600)
    for text in ("{}", "[]", "x", '{"protocol": [1, 0], "host": "x"}'):
        path.write_text(text)
        with pytest.raises(ConfigError, match="no connection file"):
            read_connection(path)
    remove_connection(path, "e")
    assert path.exists()


def test_secrets_do_not_show_in_representations(rig: Rig) -> None:
    rig.start()
    connection = read_connection(rig.paths.connection)
    assert connection.client_secret not in repr(connection)
    assert KeyPair("p", "hidden").__repr__() == "KeyPair(public='p')"


@pytest.mark.slow
def test_a_slow_reader_does_not_delay_others(rig: Rig) -> None:
    """One client asks for far more than it reads; the other one's PINGs stay quick."""
    rig.start()
    slow, quick = rig.client(), rig.client()
    data = bytes(768 << 10)
    slow.upload(data)
    for _ in range(40):
        slow.post(Get(hashlib.sha256(data).hexdigest(), 0, len(data)), bulk=True)
    waits = []
    for number in range(100):
        began = time.monotonic()
        assert quick.ask(Ping(number)) == Pong(number)
        waits.append(time.monotonic() - began)
    assert sorted(waits)[90] < 0.2
    assert threading.active_count() < 60
    assert isinstance(quick.hello(), Welcome)
