# SPDX-License-Identifier: Apache-2.0
"""Pairing: a code that works once."""

from __future__ import annotations

import threading

import pytest
import zmq
from typer.testing import CliRunner

from server.__main__ import app
from server.broker.auth import Role, load_clients, new_key_pair
from server.commands.pairing import Invitation, PairingError, PairingServer, ServerFacts, redeem
from server.config import ServerPaths

FACTS = ServerFacts((1, 0), "127.0.0.1", 4001, 4002, "k" * 40)


@pytest.fixture
def server():
    server = PairingServer("127.0.0.1", FACTS)
    yield server
    server.close()


def waiting(server, seconds=10.0):
    """The key that comes, found in another thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(server.wait("laptop", seconds)))
    thread.start()

    def result():
        thread.join()
        return found[0]

    return result


def test_the_code_carries_a_key_there_and_the_address_back(server):
    result = waiting(server)
    public = new_key_pair().public
    assert redeem(server.invitation.code(), public) == FACTS
    assert result() == public


def test_a_code_survives_typing():
    invitation = Invitation("192.168.1.5", 40123, bytes(range(16)))
    assert Invitation.parse(f"  {invitation.code().upper()} \n") == invitation
    assert Invitation.parse(Invitation("fe80::1", 7, bytes(16)).code()) == Invitation("fe80::1", 7, bytes(16))


@pytest.mark.parametrize(
    "code", ["", "abc", "1.2.3.4:5", "1.2.3.4:5:abc", "1.2.3.4:x:" + "a" * 26, "1.2.3.4:0:" + "a" * 26]
)
def test_what_is_no_code_is_refused(code):
    with pytest.raises(PairingError, match=r"[Cc]opy it again"):
        Invitation.parse(code)


def test_a_wrong_code_does_not_even_get_an_answer(server):
    result = waiting(server)
    wrong = Invitation("127.0.0.1", server.invitation.port, bytes(16))
    with pytest.raises(PairingError, match="wrong, was used, or is too old"):
        redeem(wrong.code(), new_key_pair().public, seconds=0.5)
    public = new_key_pair().public
    redeem(server.invitation.code(), public)
    assert result() == public


def test_a_used_code_is_worth_nothing():
    server = PairingServer("127.0.0.1", FACTS)
    result = waiting(server)
    code = server.invitation.code()
    redeem(code, new_key_pair().public)
    result()
    server.close()
    with pytest.raises(PairingError):
        redeem(code, new_key_pair().public, seconds=0.5)


def test_a_request_without_a_key_does_not_end_the_wait(server):
    result = waiting(server)
    with pytest.raises(PairingError, match="no CURVE public key"):
        redeem(server.invitation.code(), "not a key")
    public = new_key_pair().public
    redeem(server.invitation.code(), public)
    assert result() == public


def test_nobody_comes(server):
    with pytest.raises(PairingError, match="Nobody used the code"):
        server.wait("laptop", 0.1)


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
