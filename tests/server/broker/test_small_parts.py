# SPDX-License-Identifier: Apache-2.0
"""Messages between our own processes, log lines, metrics, configuration."""

import json
import logging
from pathlib import Path

import msgpack
import pytest

from blender_addon.protocol.arrays import DType
from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from blender_addon.protocol.messages import JobResult, MapFile, ModelInfo
from server.broker.logs import LogFile
from server.broker.metrics import Metrics
from server.children import messages as internal
from server.children.settings import ChildSettings
from server.config import ListenConfig, ServerConfig, ServerPaths
from server.errors import ConfigError, InternalMessageError

ERROR = WireError(ErrorCode.WORKER_CUDA, Retry.LATER, "Broken.")
FILE = MapFile("base_color", 1001, 16, 16, 3, DType.U8, "srgb", "png", "0" * 64, 12)


@pytest.mark.parametrize(
    "message",
    [
        internal.Ready("worker", 0, 7, {"torch": "2"}, ("cpu",)),
        internal.Ready("worker", 0, 7, {}, ("cpu",), (ModelInfo("sdxl", "missing"), ModelInfo("pocket", "installed"))),
        internal.GateVerdict("j", True),
        internal.GateVerdict("j", False, ERROR),
        internal.WorkerProgress("j", 1, 2, 3, None),
        internal.WorkerPreview("j", 1, "base_color", 1001, 8, 8, 3, "raw_u8"),
        internal.WorkerNotice("j", "ü"),
        internal.WorkerCheckpoint("j", 2),
        internal.WorkerDone("j", 1, JobResult((FILE,), "1" * 64, 1.5, ("careful",))),
        internal.WorkerFailed("j", 1, ERROR),
        internal.WorkerCancelled("j", 1),
        internal.Beat(9),
        internal.Validate("j"),
        internal.Run("j", 2, True),
        internal.CancelRun("j"),
        internal.FreeGpu(),
        internal.Stop(),
    ],
)
def test_messages_between_our_processes_come_back_equal(message) -> None:
    assert internal.unpack(internal.pack(message)) == message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x90",
        msgpack.packb({"t": "nothing", "body": {}}),
        msgpack.packb({"t": "run", "body": {"job": 3}}),
        msgpack.packb({"t": "run"}),
        bytes(internal.MAX_MESSAGE_BYTES + 1),
    ],
)
def test_other_bytes_are_told_as_such(data: bytes) -> None:
    with pytest.raises(InternalMessageError):
        internal.unpack(data)


def test_a_childs_settings_survive_json_and_hide_their_secret() -> None:
    settings = ChildSettings("tcp://127.0.0.1:1", "p", "o", "hidden", "gate", 0, "/data")
    assert ChildSettings(**json.loads(json.dumps(settings.as_dict()))) == settings
    assert "hidden" not in repr(settings)


def test_log_lines_are_json_with_known_fields_only(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "server.jsonl"
    with LogFile(path, "e" * 32):
        logger = logging.getLogger("server.test")
        logger.info("job %s", "x", extra={"job": "j1", "prompt": "weathered oak"})
        try:
            raise ValueError("broken")
        except ValueError:
            logger.exception("failed", extra={"err_id": "abc"})
    logging.getLogger("server.test").info("not any more")
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert (first["msg"], first["job"], first["lvl"], first["ep"]) == ("job x", "j1", "info", "eeeeeeee")
    assert "weathered" not in path.read_text()
    assert second["err_id"] == "abc"
    assert "ValueError: broken" in second["trace"]


def test_metrics_are_declared() -> None:
    metrics = Metrics()
    with pytest.raises(KeyError):
        metrics.count("unknown")
    with pytest.raises(KeyError):
        metrics.set("unknown", 1)
    with pytest.raises(KeyError):
        metrics.set_total("unknown", 1)
    for milliseconds in range(100):
        metrics.turn(milliseconds / 1000)
    assert metrics.loop_lag() == pytest.approx(0.098)
    assert "# TYPE pgc_server_loop_lag_seconds gauge" in metrics.text()


def test_settings_out_of_range_are_refused() -> None:
    for wrong in (
        {"device": "tpu"},
        {"rasterizer": "opengl"},
        {"workers": 0},
        {"workers": 65},
        {"checkpoint_seconds": 0.0},
    ):
        with pytest.raises(ConfigError):
            ServerConfig(**wrong)
    for port in (-1, 65536):
        with pytest.raises(ConfigError, match="65535"):
            ListenConfig(ctl_port=port)


def test_endpoints_of_both_address_families() -> None:
    assert ListenConfig().endpoint(0) == "tcp://127.0.0.1:*"
    assert ListenConfig(host="::1").endpoint(7) == "tcp://[::1]:7"
    assert ListenConfig(host="::1").is_loopback
    assert not ListenConfig(host="192.0.2.1").is_loopback


def test_the_default_data_directory_is_the_users(tmp_path: Path) -> None:
    assert ServerPaths.default().root.is_relative_to(Path.home())
    paths = ServerPaths(tmp_path)
    inside = [paths.lock, paths.connection, paths.journal, paths.log_file, paths.models, paths.spec("j")]
    inside += [paths.checkpoint("j"), paths.previous_checkpoint("j"), paths.previews("j"), paths.keys, paths.blobs]
    assert all(path.is_relative_to(tmp_path) for path in inside)
