# SPDX-License-Identifier: Apache-2.0
"""Saved runs: safetensors with a JSON header and a checksum of both, written whole or not at all. No pickle.

A bit that flips on a disk, or in a copy, changes a texture without a word; so what is read is compared with what was
written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pgc.errors import CheckpointError, OutputError
from pgc.whole_files import write_tensors

__all__ = ["FORMAT", "load_checkpoint", "save_checkpoint"]

FORMAT = "pgc-checkpoint-2"


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Writes `tensors` and a JSON-able `header`; a reader sees the old file or the new one, never a half of it.

    Raises:
        CheckpointError: the file cannot be written.
    """
    text = json.dumps(header, sort_keys=True)
    contiguous = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    metadata = {"format": FORMAT, "header": text, "sha256": _checksum(contiguous, text)}
    try:
        write_tensors(path, contiguous, metadata)
    except OutputError as error:
        raise CheckpointError(
            f"The checkpoint {path} could not be written ({error}); free some disk space or choose another folder."
        ) from error


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Loads the tensors (on the CPU) and the header of a checkpoint.

    Raises:
        CheckpointError: the file is missing, damaged, or of another format.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint at {path}; start without --resume, or name the run's folder.")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(
            f"The checkpoint {path} is damaged ({error}); delete it and start the run again."
        ) from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"The file {path} says it is {metadata.get('format')!r}, but this version reads {FORMAT!r}; "
            "resume it with the version that wrote it, or start again."
        )
    text = metadata.get("header", "")
    if metadata.get("sha256") != _checksum(tensors, text):
        raise CheckpointError(
            f"The checkpoint {path} is damaged (its bytes are not those that were written); delete it and start the "
            "run again."
        )
    try:
        return tensors, json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"The header of the checkpoint {path} cannot be read ({error}); delete it and start the run again."
        ) from error


def _checksum(tensors: Mapping[str, Tensor], header: str) -> str:
    """SHA-256 over the header and all tensors with their names, types and shapes, in the order of the names."""
    digest = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
