# SPDX-License-Identifier: Apache-2.0
"""A large array in a file, looked at piece by piece in one piece's memory."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from server.platform import write_out

__all__ = ["StoredArray"]


class StoredArray:
    """Rows of a file: `array[a:b]` reads them, and is good until the next such call, which takes the same memory.
    What was read is not kept in the system's memory either; other indices go to the mapped file.

    Mapping a file of 180 MB page by page was measured at four times the seconds that this takes where fresh memory is
    dear, as in a virtual machine whose host took back what was free.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self._path = path
        self.dtype = dtype
        self.shape = shape
        self._row = math.prod(shape[1:]) * dtype.itemsize
        self._room = np.empty(0, np.uint8)

    @cached_property
    def _mapped(self) -> npt.NDArray[Any]:
        return np.memmap(self._path, dtype=self.dtype, mode="r", shape=self.shape)

    def __getitem__(self, rows: Any) -> npt.NDArray[Any]:  # noqa: ANN401 - what numpy takes
        if not isinstance(rows, slice):
            return self._mapped[rows]
        start, stop, step = cast("slice[Any, Any, Any]", rows).indices(self.shape[0])
        if step != 1:
            return self._mapped[rows]
        count = max(0, stop - start)
        offset, size = start * self._row, count * self._row
        if self._room.nbytes < size:
            self._room = np.empty(size, np.uint8)
        self._read(offset, self._room[:size].data)
        return self._room[:size].view(self.dtype).reshape(count, *self.shape[1:])

    def _read(self, offset: int, room: memoryview) -> None:
        done = 0
        with self._path.open("rb", buffering=0) as file:
            file.seek(offset)
            while done < len(room) and (count := file.readinto(room[done:])):
                done += count
            write_out(file, offset, done)
        if done < len(room):
            raise OSError(f"{self._path.name[:12]}… ends {len(room) - done} bytes too early.")
