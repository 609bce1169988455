# SPDX-License-Identifier: GPL-3.0-or-later
"""LoRA files of a job: read from the disk, named by their content."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from ..client import LORA_NAME_LETTERS, ArrayRef, LoraSpec
from ..model.conditions.loras import wished_loras
from ..protocol.arrays import array_ref
from .errors import SceneError

__all__ = ["loras_of"]


def loras_of(settings: bpy.types.PropertyGroup, arrays: dict[str, npt.NDArray[Any]]) -> tuple[LoraSpec, ...]:
    """Returns the files that a job's model is to have, whose bytes are added to the arrays.

    Raises:
        SceneError: a file is not there, is none of the kind, or is named twice.
    """
    found: list[LoraSpec] = []
    for given, scale in wished_loras(settings, settings.model):
        path = Path(bpy.path.abspath(given.strip()))
        if path.suffix.lower() != ".safetensors":
            raise SceneError(f"The LoRA {path.name} is no .safetensors file; look for it in that format.")
        try:
            state = path.stat()
            # Its bytes stay on the disk until they are sent; a server that knows the file is not sent it again.
            data = np.memmap(path, np.uint8, mode="r")
            ref = _named(str(path), state.st_mtime_ns, state.st_size)
        except (OSError, ValueError) as error:
            raise SceneError(f"The LoRA {path} cannot be read; choose the file again, or clear its row.") from error
        if ref.sha256 in {lora.file.sha256 for lora in found}:
            raise SceneError(f"The LoRA {path.name} is there twice; take it once, with both strengths together.")
        found.append(LoraSpec(file=ref, scale=scale, name=path.name[:LORA_NAME_LETTERS]))
        arrays[ref.sha256] = data
    return tuple(found)


@lru_cache(maxsize=16)
def _named(path: str, _changed_ns: int, _size: int) -> ArrayRef:
    """The file by its content, which takes a moment for hundreds of MB: once as long as it does not change."""
    return array_ref(np.memmap(path, np.uint8, mode="r"))
