# SPDX-License-Identifier: Apache-2.0
"""Another user of the same machine: sees that there is a server, and no more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.e2e.security_rig import Started
from tests.server.broker.rig import Client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform == "win32", reason="rights come from the directory on Windows"),
]
NOBODY = 65534


@pytest.fixture
def server():
    """In a folder that all may enter, so that nothing but the server's own rights keeps them out."""
    open_to_all = Path(tempfile.mkdtemp(prefix="pgc-shared-"))
    open_to_all.chmod(0o755)
    found = Started(open_to_all / "data")
    yield found
    found.close()
    shutil.rmtree(open_to_all)


def as_nobody(*command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, check=False)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_of_the_machine_reads_nothing_and_is_not_heard(server):
    control = server.paths.root.parent / "for all.txt"
    control.write_text("hello")
    control.chmod(0o644)
    assert as_nobody("/bin/cat", str(control)).stdout == b"hello", "the judge can read what it may"
    server.client()
    files = [path for path in server.paths.root.rglob("*") if path.is_file()]
    assert any(path.name == "server.json" for path in files)
    assert any(path.name == "connection.json" for path in files)
    for path in files:
        done = as_nobody("/bin/cat", str(path))
        assert (done.returncode, done.stdout) == (1, b""), path
        if not path.exists():
            continue  # A copy of the journal that was being written.
        assert b"denied" in done.stderr, path
    assert b"denied" in as_nobody("/bin/ls", str(server.paths.root)).stderr
    assert as_nobody("/bin/mkdir", str(server.paths.root / "mine")).returncode != 0
    # What can be learnt without a file: the ports. Knocking there without a key is tests/e2e/test_server_security.py.
    connection = server.connection
    arguments = " ".join(arg for process in _family(server) for arg in process.cmdline())
    for secret in (connection.client_secret, _server_secret(server)):
        assert secret not in arguments
        assert all(secret not in " ".join(process.environ().values()) for process in _family(server))


def _family(server: Started):
    import psutil

    process = psutil.Process(server.process.pid)
    return [process, *process.children(recursive=True)]


def _server_secret(server: Started) -> str:
    import json

    return json.loads((server.paths.keys / "server.json").read_bytes())["secret"]


def test_a_client_without_the_connection_file_has_no_key_to_come_in_with(server):
    from server.broker.sessions.auth import new_key_pair

    stranger: Client = server.client(new_key_pair(), hello=False)
    stranger.post(_hello())
    assert stranger.receive(0.5) is None


def _hello():
    from blender_addon.protocol.messages import Hello

    return Hello(((1, 0),), "stranger")
