# SPDX-License-Identifier: Apache-2.0
"""Saved runs: safetensors with a JSON header, written whole or not at all. No pickle."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pgc.errors import CheckpointError

__all__ = ["FORMAT", "load_checkpoint", "save_checkpoint"]

FORMAT = "pgc-checkpoint-1"


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write `tensors` and a JSON-able `header`; a reader sees the old file or the new one, never a half of it.

    Raises:
        CheckpointError: the file cannot be written.
    """
    metadata = {"format": FORMAT, "header": json.dumps(header, sort_keys=True)}
    contiguous = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        os.close(descriptor)
        try:
            save_file(contiguous, temporary, metadata=metadata)
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"The checkpoint {path} could not be written ({error}); free some disk space or choose another folder."
        ) from error


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors (on the CPU) and the header of a checkpoint.

    Raises:
        CheckpointError: the file is missing, damaged, or of another format.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint at {path}; start without --resume, or name the run's folder.")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"The checkpoint {path} is damaged ({error}); delete it and start the run again."
        ) from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"The file {path} says it is {metadata.get('format')!r}, but this version reads {FORMAT!r}; "
            "resume it with the version that wrote it, or start again."
        )
    return tensors, json.loads(metadata["header"])
