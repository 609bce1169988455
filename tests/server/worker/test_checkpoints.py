# SPDX-License-Identifier: Apache-2.0
"""The newest checkpoint that is whole, whatever happened to the others."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from server.config import ServerPaths
from server.worker.checkpoints import Saved, load_newest, save

JOB = "a" * 32


@pytest.fixture
def paths(tmp_path: Path) -> ServerPaths:
    return made(tmp_path)


def made(root: Path) -> ServerPaths:
    """A job with a checkpoint after step 4 and one after step 8."""
    paths = ServerPaths(root)
    paths.job(JOB).mkdir(parents=True)
    paths.spec(JOB).write_bytes(b"spec")
    for step in (4, 8):
        save(paths, JOB, Saved(tensors={"texels": torch.full((30,), float(step))}, header={"step": step}, plan=1))
    return paths


def newest_step(paths: ServerPaths) -> int | None:
    saved = load_newest(paths, JOB)
    if saved is None:
        return None
    assert torch.equal(saved.tensors["texels"], torch.full((30,), float(saved.step))), "other bytes than were saved"
    return saved.step


def test_the_newest_is_taken(paths: ServerPaths) -> None:
    assert newest_step(paths) == 8


def _flip(position: int):
    def harm(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[position] ^= 4
        path.write_bytes(data)

    return harm


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _gone(path: Path) -> None:
    path.unlink()


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _another_file(path: Path) -> None:
    path.unlink()
    save_file({"a": torch.zeros(1)}, path, metadata={"format": "pgc-checkpoint-2", "header": "[1]", "sha256": "0"})


HARMS = [_flip(-1), _flip(-60), _flip(0), _flip(20), _flip(120), _cut, _empty, _gone, _a_folder, _another_file]


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_one_is_passed_over_for_the_one_before(paths: ServerPaths, harm) -> None:
    harm(paths.checkpoint(JOB))
    assert newest_step(paths) == 4
    harm(paths.previous_checkpoint(JOB))
    assert newest_step(paths) is None


def test_one_of_another_specification_is_not_taken(paths: ServerPaths) -> None:
    paths.spec(JOB).write_bytes(b"another")
    assert newest_step(paths) is None


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_random_damage_gives_whole_bytes_or_none(tmp_path_factory, data) -> None:
    paths = made(tmp_path_factory.mktemp("checkpoints"))
    for path in (paths.checkpoint(JOB), paths.previous_checkpoint(JOB)):
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(0, 4))):
            place = data.draw(st.integers(0, len(content) - 1))
            content[place] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2, len(content)]))])
    assert newest_step(paths) in (None, 4, 8)
