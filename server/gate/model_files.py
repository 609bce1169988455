# SPDX-License-Identifier: Apache-2.0
"""Whether a file for a job's model (LoRA, learnt word) is safetensors, whose header fits its data; what is in it a
worker looks at."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, cast

from blender_addon.protocol.arrays import ArrayRef
from blender_addon.protocol.errors import ProtocolError, invalid
from blender_addon.protocol.specs.job import EmbeddingSpec, LoraSpec

__all__ = ["check_model_files"]

_LENGTH = 8
_MOST_HEADER = 16 << 20
"""Of SDXL's largest LoRA files the header has less than one MiB."""


def check_model_files(
    files: Sequence[LoraSpec | EmbeddingSpec], where: str, behind: Callable[[ArrayRef, str], Any]
) -> None:
    """Looks at the header of each file.

    Args:
        files: of the job.
        where: the field that has them.
        behind: returns the bytes behind a reference, to be sliced; its second argument is the path for messages.

    Raises:
        ProtocolError: a file is no safetensors, or is damaged.
    """
    for index, one in enumerate(files):
        path = f"{where}[{index}].file"
        _check(one, behind(one.file, path), path)


def _check(one: LoraSpec | EmbeddingSpec, data: Any, path: str) -> None:  # noqa: ANN401 - a piece of a file, as numpy has it
    size = one.file.shape[0]
    length = int.from_bytes(bytes(data[:_LENGTH]), "little")
    if not 2 <= length <= min(_MOST_HEADER, size - _LENGTH):
        raise _damaged(one, path)
    try:
        header = json.loads(bytes(data[_LENGTH : _LENGTH + length]))
    except (ValueError, RecursionError) as error:
        raise _damaged(one, path) from error
    room = size - _LENGTH - length
    tensors = {} if not isinstance(header, dict) else cast("dict[str, Any]", header)
    found = [tensor for name, tensor in tensors.items() if name != "__metadata__"]
    if not found or not all(_lies_within(tensor, room) for tensor in found):
        raise _damaged(one, path)


def _lies_within(tensor: Any, room: int) -> bool:  # noqa: ANN401 - JSON
    offsets: Any = cast("dict[str, Any]", tensor).get("data_offsets") if isinstance(tensor, dict) else None
    if not isinstance(offsets, list) or len(cast("list[Any]", offsets)) != 2:
        return False
    start, end = cast("list[Any]", offsets)
    return type(start) is int and type(end) is int and 0 <= start <= end <= room


def _damaged(one: LoraSpec | EmbeddingSpec, path: str) -> ProtocolError:
    name = one.name or "The file"
    return invalid(path, f"{name} is no whole .safetensors file; download it again, or take another one.")
