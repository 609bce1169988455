# SPDX-License-Identifier: Apache-2.0
"""Pairing: a code that works once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import zmq
from typer.testing import CliRunner

from server.__main__ import app
from server.broker.sessions.auth import Role, add_client, load_clients, new_key_pair
from server.commands import pair as pair_command
from server.commands.pairing import Invitation, PairingError, PairingServer, ServerFacts
from server.config import ServerPaths
from server.errors import ConfigError
from server.storage.connection import Connection
from tests.server.commands.other_machine import invitation_of, redeem

ROOT = Path(__file__).resolve().parents[3]

FACTS = ServerFacts((1, 0), "127.0.0.1", 4001, 4002, "k" * 40)


@pytest.fixture
def server():
    server = PairingServer("127.0.0.1", FACTS)
    yield server
    server.close()


class Keeper:
    """Remembers what was kept and given back; `fails` instead, where that is set."""

    def __init__(self, fails=None):
        self.fails = fails
        self.did = []

    def keep(self, public):
        if self.fails is not None:
            raise self.fails
        self.did.append(public)

    def give_back(self):
        self.did.append("given back")


def waiting(server, seconds=10.0, keeper=None):
    """The key that comes, found in another thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(server.wait("laptop", seconds, keeper or Keeper())))
    thread.start()

    def result():
        thread.join()
        return found[0]

    return result


def test_the_code_carries_a_key_there_and_the_address_back(server):
    result = waiting(server)
    public = new_key_pair().public
    assert redeem(server.invitation, public) == FACTS
    assert result() == public


def test_a_wrong_code_does_not_even_get_an_answer(server):
    result = waiting(server)
    wrong = Invitation("127.0.0.1", server.invitation.port, bytes(16))
    with pytest.raises(PairingError, match="wrong, was used, or is too old"):
        redeem(wrong, new_key_pair().public, seconds=0.5)
    public = new_key_pair().public
    redeem(server.invitation, public)
    assert result() == public


def test_a_used_code_is_worth_nothing():
    server = PairingServer("127.0.0.1", FACTS)
    result = waiting(server)
    code = server.invitation
    redeem(code, new_key_pair().public)
    result()
    server.close()
    with pytest.raises(PairingError):
        redeem(code, new_key_pair().public, seconds=0.5)


def test_a_request_without_a_key_does_not_end_the_wait(server):
    result = waiting(server)
    with pytest.raises(PairingError, match="no CURVE public key"):
        redeem(server.invitation, "not a key")
    public = new_key_pair().public
    redeem(server.invitation, public)
    assert result() == public


def test_nobody_comes(server):
    with pytest.raises(PairingError, match="Nobody used the code"):
        server.wait("laptop", 0.1, Keeper())


def test_the_command_adds_lists_and_removes(tmp_path):
    public = zmq.curve_keypair()[0].decode()
    arguments = ["pair", "laptop", "--key", public, "--role", "admin", "--data", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    (client,) = load_clients(ServerPaths(tmp_path)).values()
    assert (client.name, client.public, client.role) == ("laptop", public, Role.ADMIN)
    assert "laptop" in CliRunner().invoke(app, ["pair", "--data", str(tmp_path)]).output
    assert CliRunner().invoke(app, ["pair", "laptop", "--remove", "--data", str(tmp_path)]).exit_code == 0
    assert not load_clients(ServerPaths(tmp_path))
    assert CliRunner().invoke(app, ["pair", "laptop", "--remove", "--data", str(tmp_path)]).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [["../x", "--key", "k"], ["laptop", "--key", "k"], ["laptop", "--role", "king"], ["laptop", "--host", "0.0.0.0"]],
)
def test_the_command_refuses_bad_names_keys_roles_and_addresses(tmp_path, arguments):
    result = CliRunner().invoke(app, ["pair", *arguments, "--minutes", "0.001", "--data", str(tmp_path)])
    assert result.exit_code == 2, result.output
    assert not load_clients(ServerPaths(tmp_path))


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        (ConfigError("Another key has the name 'laptop'."), "Another key has the name"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (PermissionError(13, "Permission denied", "/somewhere/keys"), "Permission denied"),
    ],
)
def test_a_key_that_cannot_be_kept_is_told_to_both(server, fails, said):
    """The code was used up, the name refused, and the other machine told that it is paired."""
    outcome = []

    def wait():
        with pytest.raises(PairingError) as raised:
            server.wait("laptop", 10.0, Keeper(fails))
        outcome.append(str(raised.value))

    thread = threading.Thread(target=wait)
    thread.start()
    with pytest.raises(PairingError, match="could not keep this machine's key"):
        redeem(server.invitation, new_key_pair().public)
    thread.join()
    assert said in outcome[0]
    assert outcome[0].startswith("laptop is not paired, and was told so")
    assert "/somewhere" not in outcome[0]


def test_a_key_is_on_the_list_before_its_machine_is_told(server):
    keeper = Keeper()
    result = waiting(server, keeper=keeper)
    public = new_key_pair().public
    redeem(server.invitation, public)
    assert keeper.did == [public]
    assert result() == public


def test_a_machine_that_went_away_before_it_was_told_is_not_on_the_list_and_may_come_again(server):
    """It gave up waiting: it does not count itself as paired either."""
    gone = threading.Event()

    class Slow(Keeper):
        def keep(self, public):
            super().keep(public)
            if len(self.did) == 1:
                gone.wait(10)

    keeper = Slow()
    result = waiting(server, keeper=keeper)
    first, second = new_key_pair().public, new_key_pair().public
    with pytest.raises(PairingError, match="does not answer"):
        redeem(server.invitation, first, seconds=0.5)
    time.sleep(0.3)  # Until its connection is gone.
    gone.set()
    assert redeem(server.invitation, second) == FACTS
    assert result() == second
    assert keeper.did == [first, "given back", second]


@pytest.mark.parametrize("name", ["local", "Laptop", "a/b", "", "x" * 65])
def test_a_name_is_looked_at_before_a_code_is_given(tmp_path, name):
    result = CliRunner().invoke(app, ["pair", name, "--minutes", "0.001", "--data", str(tmp_path / "d")])
    assert result.exit_code == 2
    assert "Client name" in result.output
    assert "enter this code" not in result.output


def test_a_name_that_is_taken_is_said_before_a_code_is_given(tmp_path):
    add_client(ServerPaths(tmp_path), "laptop", new_key_pair().public)
    arguments = ["pair", "laptop", "--port", "4000", "--minutes", "0.001", "--data", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "pgc-server pair laptop --remove" in result.output
    assert "enter this code" not in result.output
    (ServerPaths(tmp_path).keys / "clients" / "laptop.json").write_text("{")
    assert "has the name 'laptop' already" in CliRunner().invoke(app, arguments).output, "a damaged entry too"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "does not run, so it has no ports to tell"),
        (["--port", "0"], "expected 1 to 65534"),
        (["--port", "65535"], "expected 0 (any free port) to 65535"),
        (["--port", "4000", "--minutes", "nan"], "--minutes is nan"),
        (["--port", "4000", "--minutes", "-1"], "--minutes is -1"),
    ],
)
def test_a_code_that_nobody_could_use_is_not_given(tmp_path, options, said):
    """Without a server the other machine was told ports of 0, and refused what was paired here."""
    result = CliRunner().invoke(app, ["pair", "laptop", *options, "--data", str(tmp_path / "d")])
    assert result.exit_code == 2
    assert said in result.output
    assert "enter this code" not in result.output


def test_a_server_at_another_address_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(pair_command, "find_running", lambda _paths: object())
    here = Connection((1, 1), "127.0.0.1", 4000, 4001, "x", "x", "x", 1, "0" * 32)
    monkeypatch.setattr(pair_command, "read_connection", lambda _path: here)
    arguments = ["pair", "laptop", "--host", "127.0.0.2", "--data", str(tmp_path / "d")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "listens at 127.0.0.1 and not at 127.0.0.2" in result.output


@pytest.mark.slow
def test_the_whole_command_with_a_port_that_the_server_will_have(tmp_path):
    """In a thread: its code is read while it waits."""
    paths = ServerPaths(tmp_path / "d")
    process = subprocess.Popen(
        [sys.executable, "-m", "server", "pair", "laptop", "--port", "4100", "--data", str(paths.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    process.stdout.readline()
    public = new_key_pair().public
    facts = redeem(invitation_of(process.stdout.readline()), public)
    assert (facts.ctl_port, facts.bulk_port) == (4100, 4101)
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "laptop is paired, as artist." in out
    assert "pgc-server start --listen 127.0.0.1 --port 4100" in errors
    assert list(load_clients(paths)) == [public]


def test_the_list_names_a_damaged_entry(tmp_path):
    add_client(ServerPaths(tmp_path), "laptop", new_key_pair().public)
    (ServerPaths(tmp_path).keys / "clients" / "laptop.json").write_text("{")
    assert "laptop.json cannot be read" in CliRunner().invoke(app, ["pair", "--data", str(tmp_path)]).output
