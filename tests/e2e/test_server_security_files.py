# SPDX-License-Identifier: Apache-2.0
"""Files, sockets and words of a server that was really started. The table is in test_server_security."""

from __future__ import annotations

import os
import pickle  # Only to make one.
import re
import stat
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest

from blender_addon.protocol.messages import Attach, Cancel, Get, JobState, Reorder, Submit
from pgc.commands.texturing.remote import source_root
from tests.e2e.server_rig import oracle_job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.usefixtures("warm_processes")]


def test_errors_name_no_path(started, alice):
    """CVE-2025-23319, -23320 and -23334 (Triton): a chain that began with a name that an error message gave away."""
    texts = []
    for message in (Attach("x" * 32), Cancel("../x"), Reorder("a", "b")):
        texts.append(repr(alice.ask(message)))
    for message in (Get("f" * 64, 0, 1), Get("f" * 64, 1 << 40, 1)):
        texts.append(repr(alice.ask(message, bulk=True)))
    told = " ".join(texts)
    assert str(started.paths.root) not in told
    assert not re.search(r"(/home|/usr|/tmp|site-packages|Traceback|\.py)", told)


class Payload:
    """What a pickle can do: here, make a folder."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_is_never_run(started, alice, tmp_path):
    """CVE-2024-12029 (InvokeAI), CVE-2025-32434 and CVE-2026-24747 (PyTorch, weights_only): whoever can have a file
    loaded runs code. A job's checkpoints are replaced by pickles and the worker is killed: it starts over."""
    made, control = tmp_path / "run by a pickle", tmp_path / "control"
    pickle.loads(pickle.dumps(Payload(str(control))))  # noqa: S301 - it does run, where somebody loads it
    assert control.exists()
    alice.ask(Cancel(alice.running))
    spec, _ = oracle_job(steps=1_000_000, name="poisoned checkpoint")
    job = alice.ask(Submit(uuid.uuid4().hex, spec)).job
    alice.events(job, until=lambda event: event.step > 0)
    worker = started.worker()
    worker.suspend()
    for path in (started.paths.checkpoint(job), started.paths.previous_checkpoint(job)):
        path.write_bytes(pickle.dumps(Payload(str(made))))
        path.chmod(0o600)
    worker.kill()
    log = started.paths.logs / "worker-0.jsonl"
    deadline = time.monotonic() + 60
    while log.read_text().count("checkpoint left out") < 2:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    alice.ask(Cancel(job))
    assert alice.events(job)[-1].state is JobState.CANCELLED
    assert not made.exists()


def test_no_source_can_load_a_pickle():
    """CVE-2024-50050 ("ShadowMQ") came into one project after the other as a copied line. `pickle`, `torch.load`,
    pyzmq's `recv_pyobj`, NumPy's `allow_pickle=True` and sockets on all networks are in no file that is shipped."""
    forbidden = re.compile(
        r"^\s*(import|from) (pickle|dill|cloudpickle|shelve|marshal)\b|\btorch\.load\(|\b(recv|send)_pyobj\("
        r"|allow_pickle\s*=\s*True|trust_remote_code\s*=\s*True|\b(eval|exec)\(|tcp://(\*|0\.0\.0\.0)",
        re.MULTILINE,
    )
    assert forbidden.search("    import pickle")
    assert forbidden.search("x = torch.load(path)")
    root = source_root()
    sources = [path for package in ("pgc", "server", "blender_addon") for path in (root / package).rglob("*.py")]
    assert len(sources) > 100
    found = {str(path.relative_to(root)): match.group() for path in sources if (match := _first(forbidden, path))}
    assert found == {}


def _first(pattern: re.Pattern[str], path: Path) -> re.Match[str] | None:
    return next((match for match in pattern.finditer(path.read_text("utf-8")) if ".eval(" not in match.string), None)


def test_a_wildcard_address_is_refused_at_the_start(tmp_path):
    """CVE-2023-48022 (ShadowRay) and CVE-2025-30202 (vLLM): sockets on every network, unasked for."""
    command = [sys.executable, "-m", "server", "start", "--data", str(tmp_path / "data"), "--listen", "0.0.0.0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=source_root(), check=False)
    assert result.returncode == 2
    assert "0.0.0.0 stands for every network" in result.stderr
    assert not (tmp_path / "data" / "connection.json").exists()


def test_nothing_listens_outside_of_this_machine(started, alice):
    """CVE-2023-48022 (ShadowRay) again: the broker, the gate and the worker, all of their sockets."""
    server = psutil.Process(started.process.pid)
    listening = [
        entry.laddr
        for process in (server, *server.children(recursive=True))
        for entry in process.net_connections("inet")
        if entry.status == psutil.CONN_LISTEN
    ]
    assert len(listening) == 3  # Control, bulk, and the one for the server's own children.
    assert {address.ip for address in listening} == {"127.0.0.1"}


@pytest.mark.skipif(sys.platform == "win32", reason="rights come from the directory there")
def test_files_are_the_owners_alone(started, alice):
    """Ray writes its token so that all users of the machine can read it (0644). Here folders are 0700, and keys,
    connection, journal, blobs, specifications, checkpoints and logs 0600, although the server has umask 0."""
    root = started.paths.root
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    open_ones = {
        str(path.relative_to(root)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in root.rglob("*")
        if path.stat().st_mode & 0o077
    }
    assert open_ones == {}
    secret = (started.paths.keys / "server.json").read_text()
    connection = started.paths.connection.read_text()
    assert started.connection.server_public in connection
    for word in re.findall(r'"secret": "([^"]+)"', secret):
        assert word not in connection
