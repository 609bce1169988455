# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pgc.errors import CheckpointError
from pgc.runs.checkpoint import load_checkpoint, save_checkpoint


def test_round_trip_is_bit_exact(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(3, 2),
        "b": torch.arange(4, dtype=torch.int64),
        "c": torch.tensor(1.5).double(),
    }
    save_checkpoint(tmp_path / "run" / "checkpoint.safetensors", tensors, {"step": 3, "config": "x"})
    loaded, header = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")
    assert header == {"step": 3, "config": "x"}
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[key], tensors[key]) and loaded[key].dtype == tensors[key].dtype for key in tensors)
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["checkpoint.safetensors"]


def test_missing_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_checkpoint(tmp_path / "none.safetensors")
    whole = tmp_path / "whole.safetensors"
    save_checkpoint(whole, {"a": torch.zeros(100)}, {})
    half = tmp_path / "half.safetensors"
    half.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(half)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(1)}, foreign, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="'pt'"):
        load_checkpoint(foreign)


@pytest.mark.slow
def test_a_single_flipped_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    tensors = {"texels": torch.randn(40), "step": torch.tensor(7), "half": torch.randn(9).to(torch.bfloat16)}
    header = {"step": 7, "note": "é", "nested": {"a": [1, 2.5, None]}}
    save_checkpoint(path, tensors, header)
    whole = path.read_bytes()
    loaded, read = load_checkpoint(path)
    assert read == header
    assert torch.equal(loaded["half"], tensors["half"])
    for place in range(len(whole)):
        bit = place % 8
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << bit)]) + whole[place + 1 :])
        try:
            loaded, read = load_checkpoint(path)
        except CheckpointError:
            continue
        # Spaces between the parts of the file's own table mean nothing.
        assert read == header
        assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, {"a": torch.zeros(2)}, {"step": 1})
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CheckpointError, match="could not be written"):
        save_checkpoint(tmp_path / "file" / "x.safetensors", {"a": torch.zeros(2)}, {})
    assert load_checkpoint(path)[1] == {"step": 1}
