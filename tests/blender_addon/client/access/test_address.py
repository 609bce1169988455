# SPDX-License-Identifier: Apache-2.0
import json
import os
from pathlib import Path

import platformdirs
import pytest

from blender_addon.client.access.address import ServerAddress, default_connection_file
from blender_addon.client.errors import ConnectionFileError

KEY = "k" * 40
CONTENT = {
    "protocol": [1, 0],
    "host": "127.0.0.1",
    "ctl_port": 4000,
    "bulk_port": 4001,
    "server_public": KEY,
    "client_public": KEY,
    "client_secret": "s" * 40,
    "pid": 7,
    "epoch": "e" * 32,
}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(0o600)
    return path


def test_a_connection_file_is_read(tmp_path):
    address = ServerAddress.from_connection_file(write(tmp_path / "connection.json", CONTENT))
    assert address.ctl_endpoint == "tcp://127.0.0.1:4000"
    assert address.bulk_endpoint == "tcp://127.0.0.1:4001"
    assert (address.pid, address.epoch) == (7, "e" * 32)


def test_the_secret_key_is_not_shown(tmp_path):
    address = ServerAddress.from_connection_file(write(tmp_path / "connection.json", CONTENT))
    assert "sss" not in repr(address)


def test_an_ipv6_address_gets_its_brackets():
    address = ServerAddress.from_json(json.dumps({**CONTENT, "host": "::1"}).encode())
    assert address.ctl_endpoint == "tcp://[::1]:4000"


def test_without_a_file_the_message_says_how_to_start_a_server(tmp_path):
    with pytest.raises(ConnectionFileError, match="pgc-server start"):
        ServerAddress.from_connection_file(tmp_path / "connection.json")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
def test_a_file_that_others_can_read_is_refused(tmp_path):
    path = write(tmp_path / "connection.json", CONTENT)
    path.chmod(0o644)
    with pytest.raises(ConnectionFileError, match="chmod 600"):
        ServerAddress.from_connection_file(path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "damaged"),
        ("[1]", "expected a map"),
        ({**CONTENT, "host": ""}, "host"),
        ({**CONTENT, "ctl_port": 0}, "ctl_port"),
        ({**CONTENT, "bulk_port": True}, "bulk_port"),
        ({**CONTENT, "client_secret": "short"}, "client_secret is no CURVE key"),
        ({name: value for name, value in CONTENT.items() if name != "server_public"}, "server_public"),
    ],
)
def test_a_damaged_file_is_refused_with_the_field(tmp_path, content, match):
    with pytest.raises(ConnectionFileError, match=match):
        ServerAddress.from_connection_file(write(tmp_path / "connection.json", content))


def test_a_damaged_secret_is_not_shown():
    with pytest.raises(ConnectionFileError) as caught:
        ServerAddress.from_json(json.dumps({**CONTENT, "client_secret": "tell-nobody"}).encode())
    assert "tell-nobody" not in str(caught.value)


def test_the_default_place_is_the_servers(monkeypatch, tmp_path):
    expected = Path(platformdirs.user_data_dir("pgc-server", appauthor=False)) / "connection.json"
    assert default_connection_file() == expected
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    expected = Path(platformdirs.user_data_dir("pgc-server", appauthor=False)) / "connection.json"
    assert default_connection_file() == expected
