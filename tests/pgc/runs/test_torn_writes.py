# SPDX-License-Identifier: Apache-2.0
"""A run that is killed, or whose disk is full, at each of its writes: what is there is whole, the next run goes on."""

import contextlib
import errno
import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from pgc import whole_files
from pgc.errors import OutputError, PgcError
from pgc.export.material import ExportConfig
from pgc.guidance.oracle import OracleConfig
from pgc.guidance.specs import OracleSpec
from pgc.images.writing import Exr, Png, write_image
from pgc.optimization.config import Prompt
from pgc.pictures.contact_sheet import PreviewConfig
from pgc.pictures.turntable import TurntableConfig
from pgc.runs.checkpoint import save_checkpoint
from pgc.runs.folder import OutputConfig, RunFolder
from pgc.runs.report import read_report
from pgc.runs.request import TextureRequest
from pgc.runs.runner import texture_mesh
from pgc.runs.settings.presets import preset_settings, with_overrides
from pgc.whole_files import write_array, write_bytes, write_picture, write_tensors

ORACLE = OracleSpec(oracle=OracleConfig(image_size=16))
OUTPUTS = OutputConfig(
    preview=PreviewConfig(view_size=16),
    turntable=TurntableConfig(size=16, frames=2),
    first_preview_seconds=0.0,
    checkpoint_seconds=1e-6,
    export=ExportConfig(image_format=Png(16), models=("obj",)),
)


def request_for(mesh, texture):
    return TextureRequest(
        mesh=mesh,
        prompt=Prompt(text="red"),
        guidance=ORACLE,
        settings=with_overrides(preset_settings("standard", ORACLE), steps=2, views=1, resolution=16, texture_size=32),
        oracle_texture=texture,
        device="cpu",
    )


def check_whole(folder):
    """Every file that has its name is whole. Raises where one is not."""
    for path in folder.rglob("*"):
        if path.is_dir() or path.name.startswith(".pgc-"):
            continue
        match path.suffix:
            case ".png" | ".webp":
                with Image.open(path) as image:
                    image.load()
            case ".json":
                json.loads(path.read_text("utf-8"))
            case ".glb":
                data = path.read_bytes()
                assert struct.unpack_from("<I", data, 8)[0] == len(data)
            case ".safetensors":
                with safe_open(path, framework="pt") as file:
                    assert list(file.keys())
            case ".obj" | ".mtl":
                assert path.read_text().endswith("\n") or path.suffix == ".obj"
            case other:
                raise AssertionError(f"a file of kind {other}: {path}")


def leftovers(folder):
    return [path.name for path in folder.rglob(".pgc-*")]


def run_again(request, folder):
    """As a person would: go on where there is a checkpoint, else anew."""
    resume = folder.checkpoint.is_file()
    if not resume:
        folder.claim(overwrite=True)
    outcome = texture_mesh(request, folder, arguments={"prompt": "red"}, outputs=OUTPUTS, resume=resume)
    assert outcome.finished
    assert leftovers(folder.path) == []
    check_whole(folder.path)
    assert read_report(folder.report)["state"] == "finished"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_disk_that_fills_up_at_each_write_costs_nothing_that_was_there(cube_obj, red_texture, tmp_path, monkeypatch):
    request, folder = request_for(cube_obj, red_texture), RunFolder(tmp_path / "out")
    calls, wanted, real = [0], [-1], whole_files._onto_the_disk

    def full(path):
        calls[0] += 1
        if calls[0] == wanted[0]:
            os.truncate(path, path.stat().st_size // 2)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path)

    monkeypatch.setattr(whole_files, "_onto_the_disk", full)
    texture_mesh(request, folder, arguments={"prompt": "red"}, outputs=OUTPUTS)
    writes = calls[0]
    assert writes >= 12
    for number in range(1, writes + 1):
        calls[0], wanted[0] = 0, number
        with pytest.raises(PgcError, match=r"MB are free there\); free some space") as raised:
            texture_mesh(request, folder, arguments={"prompt": "red"}, outputs=OUTPUTS)
        assert leftovers(folder.path) == []
        check_whole(folder.path)
        assert str(folder.path) in str(raised.value)
        wanted[0] = -1
    run_again(request, folder)


_KILLER = """
import os, signal, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from pgc import whole_files
from tests.pgc.runs.test_torn_writes import OUTPUTS, request_for
from pgc.runs.folder import RunFolder
from pgc.runs.runner import texture_mesh
import torch
torch.set_num_threads(1)
request = request_for(Path({mesh!r}), Path({texture!r}))

def child(number, where, folder):
    calls = [0]
    real = getattr(whole_files, where)
    def killed(*arguments):
        calls[0] += 1
        if calls[0] == number:
            if where == "_onto_the_disk":
                os.truncate(arguments[0], arguments[0].stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        real(*arguments)
    setattr(whole_files, where, killed)
    texture_mesh(request, RunFolder(folder), arguments={{"prompt": "red"}}, outputs=OUTPUTS)
    os._exit(0)

for where in ("_onto_the_disk", "_rename"):
    number = 0
    while True:
        number += 1
        folder = Path({out!r}) / f"{{where}}-{{number}}"
        pid = os.fork()
        if pid == 0:
            child(number, where, folder)
        status = os.waitpid(pid, 0)[1]
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL, status
    print(where, number - 1)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("warm_processes")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are killed as POSIX does it")
def test_a_run_that_is_killed_at_each_write_leaves_whole_files_and_goes_on(cube_obj, red_texture, tmp_path):
    root = str(Path(__file__).resolve().parents[3])
    script = _KILLER.format(root=root, mesh=str(cube_obj), texture=str(red_texture), out=str(tmp_path / "runs"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    counts = dict(line.split() for line in done.stdout.splitlines() if line.startswith("_"))
    # Previews come by the clock, so that one more or less is no fault.
    assert min(int(counts["_rename"]), int(counts["_onto_the_disk"])) >= 10
    request, torn = request_for(cube_obj, red_texture), 0
    for path in sorted((tmp_path / "runs").iterdir()):
        torn += bool(leftovers(path))
        check_whole(path)
    assert torn >= 18, "the kills left what they are to leave"
    for number in (1, 4, 8, int(counts["_rename"])):
        run_again(request, RunFolder(tmp_path / "runs" / f"_rename-{number}"))


def test_a_file_half_written_that_has_its_name_would_be_seen(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match="Expecting"):
        check_whole(tmp_path)
    (tmp_path / "a.json").unlink()
    (tmp_path / "a.glb").write_bytes(struct.pack("<4sII", b"glTF", 2, 100))
    with pytest.raises(AssertionError):
        check_whole(tmp_path)


@contextlib.contextmanager
def files_of_at_most(size):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)


_NOISE = torch.rand((3, 64, 64), generator=torch.Generator().manual_seed(0))
WRITERS = {
    "a.png": lambda path: write_image(path, _NOISE, "color", Png(8)),
    "b.png": lambda path: write_image(path, _NOISE, "data", Png(16)),
    "c.exr": lambda path: write_image(path, _NOISE, "color", Exr(16)),
    "d.exr": lambda path: write_image(path, _NOISE, "data", Exr(32)),
    "e.webp": lambda path: write_picture(path, Image.effect_noise((128, 128), 90.0), quality=90),
    "f.npy": lambda path: write_array(path, np.zeros(5000)),
    "g.safetensors": lambda path: write_tensors(path, {"a": _NOISE}, {}),
    "h.safetensors": lambda path: save_checkpoint(path, {"a": _NOISE}, {"step": 1}),
    "i.bin": lambda path: write_bytes(path, bytes(5000)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_notices_that_there_is_no_room(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"what was there")
    with files_of_at_most(1024), pytest.raises(PgcError, match=name):
        WRITERS[name](path)
    assert path.read_bytes() == b"what was there"
    assert os.listdir(tmp_path) == [name]
    WRITERS[name](path)
    assert path.stat().st_size > 1024


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    dead, old, own, other = (
        tmp_path / f".pgc-{pid}-{'a' * 12}.png" for pid in (int(done.stdout), 1, os.getpid(), os.getppid())
    )
    foreign = [tmp_path / name for name in (".pgc-1-a.png", "pgc-1-aaaaaaaaaaaa.png", ".pgc-notes", "x.part")]
    for path in (dead, old, own, other, *foreign):
        path.touch()
    os.utime(old, (0, 0))
    assert whole_files.remove_leftovers(tmp_path) == 2
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in (own, other, *foreign)}
    assert whole_files.remove_leftovers(tmp_path / "not there") == 0


@pytest.mark.parametrize("name", ["con.png", "NUL", "aux.obj", "Com1.exr", "lpt9.txt"])
def test_names_that_windows_keeps_are_refused_there(name, tmp_path, monkeypatch):
    assert whole_files._RESERVED.fullmatch(name)
    for fine in ("console.png", "con_1.png", "com.png", "nullify.obj"):
        assert not whole_files._RESERVED.fullmatch(fine)
    monkeypatch.setattr(whole_files, "_is_windows", lambda: True)
    with pytest.raises(OutputError, match="Windows keeps this name"):
        write_bytes(tmp_path / name, b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_a_scanner_holds_open_is_tried_again(tmp_path, monkeypatch):
    times, real = [], os.replace

    def busy(source, target):
        times.append(target)
        if len(times) < 4:
            raise PermissionError(errno.EACCES, "in use")
        real(source, target)

    monkeypatch.setattr(whole_files, "_is_windows", lambda: True)
    monkeypatch.setattr(whole_files, "_PAUSE", 0.0)
    monkeypatch.setattr(whole_files.os, "replace", busy)
    write_bytes(tmp_path / "a.bin", b"new")
    assert len(times) == 4
    assert (tmp_path / "a.bin").read_bytes() == b"new"
