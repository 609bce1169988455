# SPDX-License-Identifier: Apache-2.0
"""A client that was written from PROTOCOL.md alone runs a job, with nothing but zmq and msgpack."""

import ast
import contextlib
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

CLIENT = pathlib.Path(__file__).with_name("minimal_client.py")
ROOT = CLIENT.parents[2]
ALLOWED = {"msgpack", "zmq"}
WRAPPER = """
import json, runpy, sys
before = set(sys.modules)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
sys.stdout.write("modules " + json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def log_tail(path: pathlib.Path) -> str:
    return path.read_text("utf-8", "replace")[-4000:]


def end_session(process: subprocess.Popen[bytes]) -> None:
    """End the server and its workers; of a server that has stopped nothing is left."""
    process.kill()
    process.wait(10)
    for entry in pathlib.Path("/proc").glob("[0-9]*") if sys.platform == "linux" else ():
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(int(entry.name)) == process.pid:
                os.kill(int(entry.name), signal.SIGKILL)


@pytest.fixture
def connection(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """The connection file of a server of this test's own."""
    data, log = tmp_path / "data", tmp_path / "server.log"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "server"]
    start = [*command, "start", "--data", str(data), "--device", "cpu", "--listen", "127.0.0.1", "--port", "0"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            start, cwd=ROOT, env=environment, stdout=out, stderr=out, start_new_session=os.name == "posix"
        )
    try:
        file = data / "connection.json"
        until = time.monotonic() + 120
        while not file.exists():
            assert process.poll() is None, log_tail(log)
            assert time.monotonic() < until, log_tail(log)
            time.sleep(0.1)
        yield file
        stop = [*command, "stop", "--now", "--data", str(data)]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(stop, cwd=ROOT, env=environment, capture_output=True, timeout=15, check=False)
    finally:
        end_session(process)


def test_the_file_is_small_and_imports_zmq_and_msgpack_only() -> None:
    source = CLIENT.read_text("utf-8")
    assert len(source.splitlines()) <= 150
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert node.module is not None
            names.add(node.module.partition(".")[0])
        else:
            assert not (isinstance(node, ast.Name) and node.id in ("__import__", "eval", "exec"))
    assert names - sys.stdlib_module_names == ALLOWED


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("warm_processes")
def test_a_job_from_hello_to_bye(connection: pathlib.Path, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-I", "-u", "-c", WRAPPER, str(CLIENT), str(connection), str(out)]
    log = tmp_path / "client.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=out, stdout=file, stderr=file)
    try:
        assert process.wait(180) == 0, log_tail(log)
    except subprocess.TimeoutExpired:
        pytest.fail(f"the client did not end: {log_tail(log)}")
    finally:
        process.kill()
        process.wait(10)
    said = log.read_text("utf-8")
    assert [int(step) for step in re.findall(r"^progress \d+ running (\d+)/3$", said, re.M)][-1] == 3
    previews = re.findall(r"^preview .*$", said, re.M)
    assert set(previews) == {"preview 128 x 128 x 3 whole"}
    assert re.findall(r"^state \d+ (succeeded|cancelled|failed)", said, re.M) == ["cancelled", "succeeded"]
    assert re.search(r"^list \['cancelled', 'succeeded'\]$", said, re.M)

    png = (out / "base_color.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert png.endswith(b"IEND\xaeB`\x82")
    assert struct.unpack(">II", png[16:24]) == (128, 128)
    assert [path.name for path in out.iterdir()] == ["base_color.png"]

    modules = set(json.loads(said.rpartition("modules ")[2])) - sys.stdlib_module_names
    own = {name for name in modules if name.startswith(("_cython_", "cython_runtime"))}  # zmq and msgpack bring them
    assert modules - own == ALLOWED
