# SPDX-License-Identifier: Apache-2.0
"""Both halves of pairing, in one process."""

import os
import threading

import pytest
import zmq

from blender_addon.client import ServerAddress
from blender_addon.client.access.pairing import PairingError, pair
from server.commands.pairing import PairingServer, ServerFacts

KEY = zmq.curve_keypair()[0].decode()


class Kept:
    """Any key will do."""

    def keep(self, public):
        pass

    def give_back(self):
        pass


@pytest.fixture
def pairing():
    """A pairing port, and the keys that came to it."""
    opened = []

    def open_port(ctl_port=4000):
        server = PairingServer("127.0.0.1", ServerFacts((1, 0), "127.0.0.1", ctl_port, 4001, KEY))
        came = []
        thread = threading.Thread(target=lambda: came.append(server.wait("laptop", 20.0, Kept())))
        thread.start()
        opened.append((server, thread))
        return server.invitation.code(), came, thread

    yield open_port
    for server, thread in opened:
        thread.join()
        server.close()


def test_a_code_becomes_a_connection_file_whose_secret_stays_here(pairing, tmp_path):
    code, came, thread = pairing()
    path = tmp_path / "new" / "server.json"
    address = pair(code, path)
    thread.join()
    assert came == [address.client_public]
    assert ServerAddress.from_connection_file(path) == address
    assert (address.host, address.ctl_port, address.bulk_port, address.server_public) == ("127.0.0.1", 4000, 4001, KEY)
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["server.json"]


def test_a_code_survives_typing(pairing, tmp_path):
    code, came, thread = pairing()
    address = pair(f"  {code.upper()} \n", tmp_path / "server.json")
    thread.join()
    assert came == [address.client_public]


def test_a_server_that_does_not_run_is_told(pairing, tmp_path):
    code, _came, _thread = pairing(ctl_port=0)
    with pytest.raises(PairingError, match="start it there"):
        pair(code, tmp_path / "server.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", ["", "hello", "1.2.3.4:5:short", "1.2.3.4:99999:" + "a" * 26, ":5:" + "a" * 26])
def test_what_is_no_code_is_refused(code, tmp_path):
    with pytest.raises(PairingError, match="copy it again"):
        pair(code, tmp_path / "server.json")


def test_a_wrong_code_gets_no_answer(pairing, tmp_path):
    code, _came, _thread = pairing()
    wrong = code[:-26] + ("b" if code[-26] == "a" else "a") + code[-25:]
    with pytest.raises(PairingError, match="does not answer"):
        pair(wrong, tmp_path / "server.json", seconds=0.3)
    # The right one still works.
    pair(code, tmp_path / "server.json")


@pytest.mark.parametrize("place", ["a folder", "under a file"])
def test_a_place_that_cannot_be_written_to_does_not_use_up_the_code(pairing, tmp_path, place):
    """The server would count this machine as paired, and it would not have the keys."""
    code, came, _thread = pairing()
    (tmp_path / "a folder").mkdir()
    (tmp_path / "file").write_text("x")
    path = tmp_path / "a folder" if place == "a folder" else tmp_path / "file" / "server.json"
    with pytest.raises(OSError, match=r"directory|exists"):
        pair(code, path)
    assert came == []
    pair(code, tmp_path / "server.json")
