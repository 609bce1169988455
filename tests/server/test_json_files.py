# SPDX-License-Identifier: Apache-2.0
"""Small JSON files as a disk or a hand may have left them."""

import json

import pytest

from server.broker.sessions.auth import add_client, load_clients, load_key_pair, new_key_pair, read_allow_list
from server.config import ServerPaths
from server.errors import ConfigError
from server.json_files import read_json_map
from server.platform import write_private
from server.storage.age import AgeClock, Jump, clock_file
from server.storage.ownership import claim_data_folder

NO_MAPS = [b"", b"{", b"[]", b"null", b"3", b'"x"', b"\xff\xfe", b"\0" * 50, b"[" * 100_000, b'{"a":' * 20_000, b"NaN"]


@pytest.mark.parametrize("data", NO_MAPS)
def test_what_is_no_map_is_a_sentence(tmp_path, data):
    path = tmp_path / "file.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"^file\.json "):
        read_json_map(path)


def test_a_map_is_read_and_a_missing_file_is_told_apart(tmp_path):
    path = tmp_path / "file.json"
    with pytest.raises(FileNotFoundError):
        read_json_map(path)
    path.write_text('{"a": [1, "ä"]}', "utf-8")
    assert read_json_map(path) == {"a": [1, "ä"]}


def test_a_folder_a_circle_of_links_and_a_huge_file_are_sentences(tmp_path):
    folder, circle, huge = tmp_path / "folder.json", tmp_path / "circle.json", tmp_path / "huge.json"
    folder.mkdir()
    circle.symlink_to(circle)
    huge.write_bytes(b"{}" + b" " * (5 << 20))
    for path in (folder, circle, huge):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_json_map(path)


def test_a_folder_in_the_place_of_a_file_is_a_sentence(tmp_path):
    (tmp_path / "connection.json").mkdir()
    with pytest.raises(ConfigError, match=r"is a folder; expected a file"):
        write_private(tmp_path / "connection.json", b"{}")


def test_keys_that_do_not_belong_together_are_refused(tmp_path):
    paths = ServerPaths(tmp_path / "data")
    pair = load_key_pair(paths, "server")
    for name in ("server.json", "server.copy.json"):
        (paths.keys / name).write_text(json.dumps({"public": new_key_pair().public, "secret": pair.secret}))
    with pytest.raises(ConfigError, match=r"no CURVE key pair; remove both"):
        load_key_pair(paths, "server")


def test_lists_in_lists_without_end_cost_one_client_and_not_the_start(tmp_path):
    paths = ServerPaths(tmp_path / "data")
    claim_data_folder(paths)
    folder = paths.keys / "clients"
    folder.mkdir(parents=True)
    (folder / "a.json").write_bytes(b"[" * 100_000)
    (folder / "b.json").symlink_to(folder / "nowhere")
    (folder / "c.json").mkdir()
    good = new_key_pair().public
    (folder / "d.json").write_text(json.dumps({"name": "d", "public": good, "role": "artist"}))
    assert load_clients(paths).keys() == {good}


@pytest.mark.parametrize("number", ["1e999", "NaN", "[" * 5000, "{}", "null", '"x"'])
def test_a_marker_of_any_damage_is_still_a_marker(tmp_path, number):
    paths = ServerPaths(tmp_path / "data")
    claim_data_folder(paths)
    paths.marker.write_text(f'{{"format": {number}')
    claim_data_folder(paths)
    paths.marker.write_text(f'{{"format": {number}}}')
    claim_data_folder(paths)
    assert read_json_map(paths.marker)["format"] == 1


@pytest.mark.parametrize("digit", range(3))
def test_one_changed_digit_in_the_clocks_file_makes_nothing_old(tmp_path, digit):
    """Before there was a checksum, a jump that was said to have begun later made all that is from before it old."""
    path, now = tmp_path / "clock.json", 1_790_000_000.0
    whole = clock_file(now, (Jump(now - 5000.0, now - 4000.0),)).decode()
    at = [index for index, letter in enumerate(whole) if letter == "9"][digit]
    path.write_text(whole[:at] + "99" + whole[at + 1 :])
    clock = AgeClock(path, lambda: now, lambda: 0.0)
    assert clock.age(now - 100.0) <= 100.0
    assert clock.age(now - 6000.0) <= 6000.0
    path.write_text(whole)
    assert AgeClock(path, lambda: now, lambda: 0.0).age(now - 6000.0) == pytest.approx(5000.0)


@pytest.mark.parametrize("name", ["public", "name", "role"])
def test_a_changed_letter_in_an_entry_is_damage_and_no_removal(tmp_path, name):
    """Who looks as if he had been taken off the list loses his jobs."""
    paths = ServerPaths(tmp_path / "data")
    key = new_key_pair().public
    add_client(paths, "laptop", key)
    assert read_allow_list(paths).is_sure
    path = paths.keys / "clients" / "laptop.json"
    entry = json.loads(path.read_bytes())
    other = {"public": ("x" if key[5] != "x" else "y").join((key[:5], key[6:])), "name": "laptob", "role": "admin"}
    path.write_text(json.dumps({**entry, name: other[name]}))
    found = read_allow_list(paths)
    assert (found.clients, found.is_sure) == ({}, False)
    assert "not what was written" in found.damaged["laptop.json"]
    del entry["sha256"]
    path.write_text(json.dumps(entry))
    assert read_allow_list(paths).clients.keys() == {key}, "an entry of before there were checksums"
