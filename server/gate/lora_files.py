# SPDX-License-Identifier: Apache-2.0
"""Whether a job's LoRA is a safetensors file, whose header fits its data; what is in it a worker looks at."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, cast

from blender_addon.protocol.arrays import ArrayRef
from blender_addon.protocol.errors import ProtocolError, invalid
from blender_addon.protocol.specs.job import LoraSpec

__all__ = ["check_loras"]

_LENGTH = 8
_MOST_HEADER = 16 << 20
"""Of SDXL's largest LoRA files the header has less than one MiB."""


def check_loras(loras: Sequence[LoraSpec], behind: Callable[[ArrayRef, str], Any]) -> None:
    """Looks at the header of each file.

    Args:
        loras: of the job.
        behind: returns the bytes behind a reference, to be sliced; its second argument is the path for messages.

    Raises:
        ProtocolError: a file is no safetensors, or is damaged.
    """
    for index, lora in enumerate(loras):
        path = f"guidance.loras[{index}].file"
        _check(lora, behind(lora.file, path), path)


def _check(lora: LoraSpec, data: Any, path: str) -> None:  # noqa: ANN401 - a piece of a file, as numpy has it
    size = lora.file.shape[0]
    length = int.from_bytes(bytes(data[:_LENGTH]), "little")
    if not 2 <= length <= min(_MOST_HEADER, size - _LENGTH):
        raise _damaged(lora, path)
    try:
        header = json.loads(bytes(data[_LENGTH : _LENGTH + length]))
    except (ValueError, RecursionError) as error:
        raise _damaged(lora, path) from error
    room = size - _LENGTH - length
    tensors = {} if not isinstance(header, dict) else cast("dict[str, Any]", header)
    found = [tensor for name, tensor in tensors.items() if name != "__metadata__"]
    if not found or not all(_lies_within(tensor, room) for tensor in found):
        raise _damaged(lora, path)


def _lies_within(tensor: Any, room: int) -> bool:  # noqa: ANN401 - JSON
    offsets: Any = cast("dict[str, Any]", tensor).get("data_offsets") if isinstance(tensor, dict) else None
    if not isinstance(offsets, list) or len(cast("list[Any]", offsets)) != 2:
        return False
    start, end = cast("list[Any]", offsets)
    return type(start) is int and type(end) is int and 0 <= start <= end <= room


def _damaged(lora: LoraSpec, path: str) -> ProtocolError:
    name = lora.name or "The file"
    return invalid(path, f"{name} is no whole .safetensors file; download it again, or take another one.")
