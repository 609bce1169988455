# SPDX-License-Identifier: Apache-2.0
"""Jobs through the real server on loopback: previews, equality with a run without a server, cancel, refusals."""

import dataclasses
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import zmq
from PIL import Image
from typer.testing import CliRunner

from blender_addon import client as wire
from blender_addon.protocol.codec import Envelope, decode, encode, request_id
from blender_addon.protocol.errors import ErrorCode
from blender_addon.protocol.messages import Hello, Reject
from pgc.cli import app
from pgc.commands.texturing.remote import source_root
from pgc.runs.report import read_report
from pgc.terminal.failures import EXIT_INTERRUPTED
from tests.e2e.server_rig import Watcher, base_color, oracle_job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.usefixtures("warm_processes")]


@pytest.fixture
def client(server):
    with wire.Client(server.connection, starter=server) as client:
        yield client


def test_previews_and_progress_arrive_during_the_run_and_the_maps_at_its_end(client):
    spec, arrays = oracle_job(steps=120)
    key = client.submit(spec, arrays)
    watch = Watcher(client)
    done = watch.until(wire.JobFinished, where=lambda event: event.key == key)
    previews, progress = watch.of(wire.JobPreview), watch.of(wire.JobProgress)
    assert len(progress) >= 2
    assert [event.step for event in progress] == sorted(event.step for event in progress)
    assert any(event.step < 120 for event in previews)
    assert previews[0].image.shape == (32, 32, 3)
    assert [item.map for item in done.maps] == ["base_color"]
    assert base_color(done).startswith(b"\x89PNG")
    # Sending the same job again uploads nothing.
    client.submit(spec, arrays)
    assert watch.until(wire.Uploading).done == watch.of(wire.Uploading)[-1].total
    watch.until(wire.JobFinished)


def test_the_same_key_is_the_same_job(client):
    spec, arrays = oracle_job(steps=5)
    watch = Watcher(client)
    key = client.submit(spec, arrays)
    first = watch.until(wire.JobFinished)
    client.submit(spec, arrays, key=key)
    accepted = watch.until(wire.JobAccepted)
    assert (accepted.job, accepted.duplicate) == (first.job, True)
    assert base_color(watch.until(wire.JobFinished)) == base_color(first)


def test_all_maps_of_a_material_are_shown_and_delivered(client):
    maps = ("base_color", "roughness", "metallic", "normal", "occlusion")
    spec, arrays = oracle_job(steps=40)
    watch = Watcher(client)
    # Shapes are offered too, and UVs where the server has xatlas.
    assert tuple(name for name in watch.until(wire.Connected).maps if name not in ("corner_uvs", "shape")) == maps
    client.submit(dataclasses.replace(spec, maps=maps), arrays)
    done = watch.until(wire.JobFinished)
    shown = {event.map: event.image.shape for event in watch.of(wire.JobPreview)}
    assert shown == {
        "base_color": (32, 32, 3),
        "roughness": (32, 32, 1),
        "metallic": (32, 32, 1),
        "normal": (32, 32, 3),
    }
    assert [(item.map, item.channels, item.color_space) for item in done.maps] == [
        ("base_color", 3, "srgb"),
        ("roughness", 1, "linear"),
        ("metallic", 1, "linear"),
        ("normal", 3, "linear"),
        ("occlusion", 1, "linear"),
    ]


def run_texture(cube_obj, red_texture, out, *more):
    tiny = ["--steps", "20", "--views", "2", "--resolution", "32", "--texture-size", "64", "--seed", "3"]
    oracle = ["--prompt", "red", "--guidance", "oracle", "--oracle-texture", str(red_texture)]
    arguments = ["texture", str(cube_obj), "--out", str(out), *oracle, *tiny, "--preview-size", "32", "--no-turntable"]
    result = CliRunner().invoke(app, [*arguments, *more])
    assert result.exit_code == 0, result.stderr
    return out


def test_the_server_gives_the_same_bytes_as_a_run_without_it(server, cube_obj, red_texture, tmp_path):
    picture = np.zeros((30, 20, 4), np.uint8)
    picture[:10], picture[10:20] = (20, 160, 220, 255), (240, 200, 40, 255)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    more = ["--reference", str(tmp_path / "picture.png")]
    here = run_texture(cube_obj, red_texture, tmp_path / "here", *more, "--device", "cpu")
    there = run_texture(cube_obj, red_texture, tmp_path / "there", *more, "--connection", str(server.connection))
    assert {path.name for path in here.iterdir()} == {path.name for path in there.iterdir()}
    for name in ("base_color.png", "textured.glb"):
        assert (here / name).read_bytes() == (there / name).read_bytes()
    report = read_report(there / "run.json")
    assert (report["state"], report["device"], report["steps_done"]) == ("finished", "cpu", 20)
    local = read_report(here / "run.json")
    assert report["regulation"]["clipped_fraction"] > 0
    assert "palette of the reference" in report["regulation"]["gradients"]
    for block in ("regulation", "non_finite"):
        assert report[block] == local[block]
    assert report["memory_plan"].keys() == local["memory_plan"].keys()


def test_the_server_gives_the_same_material_as_a_run_without_it(server, cube_obj, red_texture, tmp_path):
    maps = ["--maps", "base_color,roughness,metallic,normal,occlusion"]
    here = run_texture(cube_obj, red_texture, tmp_path / "here", *maps, "--device", "cpu")
    there = run_texture(cube_obj, red_texture, tmp_path / "there", *maps, "--connection", str(server.connection))
    assert {path.name for path in here.iterdir()} == {path.name for path in there.iterdir()}
    pictures = [f"{name}.png" for name in ("base_color", "roughness", "metallic", "normal", "occlusion", "orm")]
    for name in (*pictures, "textured.glb"):
        assert (here / name).read_bytes() == (there / name).read_bytes(), name


def test_a_cancelled_job_ends_soon_with_what_there_is_and_the_next_one_runs(client):
    spec, arrays = oracle_job(steps=100_000)
    watch = Watcher(client)
    client.submit(spec, arrays)
    job = watch.until(wire.JobAccepted).job
    watch.until(wire.JobProgress)
    start = time.monotonic()
    client.cancel(job)
    cancelled = watch.until(wire.JobCancelled, timeout=10.0)
    assert time.monotonic() - start < 5.0
    assert [item.map for item in cancelled.maps] == ["base_color"]
    assert base_color(cancelled).startswith(b"\x89PNG")
    client.submit(*oracle_job(steps=5))
    watch.until(wire.JobFinished)


def test_a_job_outlives_its_client_and_is_found_again_by_its_name(server, client, tmp_path):
    command = [sys.executable, "-m", "tests.e2e.faults.fault_client", str(server.connection), request_id()]
    process = subprocess.Popen(command, cwd=source_root(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    job = None
    while job is None:
        line = process.stdout.readline()
        assert line
        if '"job"' in line:
            job = line.split('"')[3]
    process.kill()
    process.communicate()
    watch = Watcher(client)
    client.list_jobs()
    assert job in {info.job for info in watch.until(wire.JobList).jobs}
    client.attach(job)
    assert watch.until(wire.JobFinished).job == job


def test_the_servers_state_is_told(client):
    watch = Watcher(client)
    client.status()
    report = watch.until(wire.ServerStatus).report
    assert report.state in ("starting", "ready")
    client.metrics()
    assert "# EOF" in watch.until(wire.Metrics).text


def test_an_input_error_names_its_field(client):
    spec, arrays = oracle_job()
    [mesh] = spec.meshes
    faces = arrays[mesh.faces.sha256].copy()
    faces[7, 1] = 90412
    broken = wire.array_ref(faces)
    spec = dataclasses.replace(spec, meshes=(dataclasses.replace(mesh, faces=broken),))
    client.submit(spec, {**arrays, broken.sha256: faces})
    error = wait_for_failure(client)
    assert error.code is ErrorCode.INPUT_INVALID
    assert "meshes[0].faces[7]" in f"{error.field}: {error.text}"
    assert "90412" in error.text


def wait_for_failure(client):
    end = time.monotonic() + 120
    while time.monotonic() < end:
        event = client.events.get(timeout=1.0)
        if isinstance(event, wire.JobFailed):
            return event.error
    raise AssertionError("the job did not fail")


@pytest.mark.parametrize("whose", ["client", "server"])
def test_a_wrong_key_is_refused(client, server, whose):
    Watcher(client).until(wire.Connected)
    address = wire.ServerAddress.from_connection_file(server.connection)
    public, secret = (key.decode() for key in zmq.curve_keypair())
    if whose == "client":
        wrong = dataclasses.replace(address, client_public=public, client_secret=secret)
    else:
        wrong = dataclasses.replace(address, server_public=public)
    with wire.Client(wrong) as stranger:
        end = time.monotonic() + 60
        seen = []
        while time.monotonic() < end and not any(isinstance(event, wire.Refused) for event in seen):
            seen += [event for event in [stranger.events.get(timeout=0.2)] if event is not None]
        assert seen[-1].error.code is ErrorCode.AUTH_REFUSED


def test_another_major_version_is_rejected_with_the_side_to_update(client, server):
    Watcher(client).until(wire.Connected)
    address = wire.ServerAddress.from_connection_file(server.connection)
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    try:
        socket.linger = 0
        socket.curve_serverkey = address.server_public.encode()
        socket.curve_publickey = address.client_public.encode()
        socket.curve_secretkey = address.client_secret.encode()
        socket.connect(address.ctl_endpoint)
        hello = Envelope(message=Hello(protocols=((2, 0),), client="from the future"), id=request_id())
        socket.send_multipart(encode(hello))
        assert socket.poll(10_000)
        answer = decode(socket.recv_multipart()).message
    finally:
        context.destroy(linger=0)
    assert isinstance(answer, Reject)
    assert answer.error.code is ErrorCode.PROTO_VERSION
    assert "server" in f"{answer.error.text} {answer.error.hint}"


def test_ctrl_c_leaves_what_the_server_had_made(server, cube_obj, red_texture, tmp_path):
    out = tmp_path / "run"
    tiny = ["--steps", "100000", "--views", "1", "--resolution", "32", "--texture-size", "64", "--no-turntable"]
    oracle = ["--prompt", "red", "--guidance", "oracle", "--oracle-texture", str(red_texture)]
    command = [sys.executable, "-m", "pgc", "texture", str(cube_obj), "--out", str(out), *oracle, *tiny]
    command += ["--connection", str(server.connection)]
    process = subprocess.Popen(command, cwd=source_root(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        end = time.monotonic() + 60.0
        while not (out / "preview.png").exists():
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60.0)
    finally:
        process.kill()
    assert process.returncode == EXIT_INTERRUPTED, said
    assert "the server keeps what it has made" in said
    assert "base_color.png" in said
    report = read_report(out / "run.json")
    assert report["state"] == "interrupted"
    assert 0 < report["steps_done"] < 100_000
    assert "base_color.png" in report["files"]
    assert (out / "base_color.png").stat().st_size > 0
    assert (out / "textured.glb").is_file()
