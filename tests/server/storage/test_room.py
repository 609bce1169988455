# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import stat
import subprocess
import sys
from collections import namedtuple

import pytest
import zmq

from server.broker.descriptors import room_for
from server.broker.loop import Loop
from server.broker.sessions.auth import new_key_pair
from server.children.executor import Executor
from server.config import ListenConfig, ServerPaths
from server.errors import ConfigError, JournalError, ListenError
from server.storage.connection import read_connection
from server.storage.journal import Journal
from server.storage.ownership import claim_data_folder
from server.storage.room import data_folder_problem


class NoExecutor(Executor):
    def spawn(self, role, index):
        raise AssertionError("nothing is to be started")


def test_a_new_folder_is_made_for_the_owner_alone(tmp_path):
    claim_data_folder(ServerPaths(tmp_path / "a" / "b"))
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_files_dead_links_and_folders_of_all_are_refused(tmp_path):
    file, link, shared = tmp_path / "file", tmp_path / "link", tmp_path / "shared"
    file.touch()
    link.symlink_to(tmp_path / "nowhere")
    shared.mkdir()
    shared.chmod(0o1777)
    for path, word in ((file, "is a file"), (file / "x", "is a file"), (link, "link"), (shared, "there for all")):
        assert word in (data_folder_problem(path) or "")
        with pytest.raises(ConfigError, match="--data"):
            claim_data_folder(ServerPaths(path))
    assert shared.stat().st_mode & 0o7777 == 0o1777, "what is refused is left as it was"
    assert data_folder_problem(shared / "mine") is None


def test_a_full_disk_is_said_before_anything_is_written(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100, 100, 3 << 20))
    with pytest.raises(ConfigError, match=r"Only 3 MiB .* needs 32"):
        claim_data_folder(ServerPaths(tmp_path / "d"))


@pytest.mark.parametrize("which", ["control", "bulk"])
def test_a_taken_port_is_a_sentence_that_names_it(which):
    context = zmq.Context()
    holder = context.socket(zmq.ROUTER)
    port = holder.bind_to_random_port("tcp://127.0.0.1")
    listen = ListenConfig(ctl_port=port) if which == "control" else ListenConfig(bulk_port=port)
    try:
        with pytest.raises(ListenError, match=f"Port {port} at 127.0.0.1 is taken"):
            Loop(listen, new_key_pair(), NoExecutor(), room_for(None))
    finally:
        holder.close(linger=0)
        context.term()


def test_an_address_of_no_interface_is_a_sentence():
    with pytest.raises(ListenError, match="no address of this machine"):
        Loop(ListenConfig(host="203.0.113.7"), new_key_pair(), NoExecutor(), room_for(None))


def test_a_journal_that_cannot_be_opened_is_a_sentence(tmp_path):
    with pytest.raises(JournalError, match="cannot be used"):
        Journal(tmp_path / "no" / "journal.sqlite")


@pytest.mark.parametrize("text", ['{"protocol": [1, 0], "host": 5}', "[]", "{", '{"protocol": "ab"}', "\x00"])
def test_a_damaged_connection_file_is_a_sentence(tmp_path, text):
    path = tmp_path / "connection.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="no connection file"):
        read_connection(path)


def test_numbers_in_a_connection_file_must_be_numbers(tmp_path):
    path = tmp_path / "connection.json"
    path.write_text(
        '{"protocol": [1, 0], "host": "127.0.0.1", "ctl_port": "1", "bulk_port": 2, "server_public": "a",'
        ' "client_public": "b", "client_secret": "c", "pid": 1, "epoch": "e"}'
    )
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="no connection file"):
        read_connection(path)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such limit")
def test_too_few_open_files_are_said_by_their_number():
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); "
        "from server.platform import allow_open_files; print(allow_open_files(256)); "
    )
    raised = code.replace("(64, 64)", "(64, 1024)").replace("(256))", "(256), resource.getrlimit(7)[0])")
    for line, said in ((code, "64"), (raised, "256 256")):
        done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == said
