# SPDX-License-Identifier: Apache-2.0
"""What readers of mesh files forgive: each odd element costs itself, is counted, and is said in one sentence."""

import codecs
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int32

from pgc.errors import MeshError
from pgc.mesh.checks import LARGEST_POSITION

__all__ = ["Notes", "finite_rows", "keep_polygons", "linear_colors", "plain_text", "unusable_positions"]

_MOST_LOST = 0.1
"""A file that loses a greater part of its faces is damaged, not odd."""
_WIDE_TEXT = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
              (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip


class Notes:
    """Collects the sentences of one file."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._sentences: list[str] = []

    def add(self, count: int, sentence: str) -> None:
        """Notes `sentence`, where `{}` is the count and `(s)` a plural; nothing where the count is 0."""
        if count:
            self._sentences.append(sentence.format(f"{count:,}").replace("(s)", "" if count == 1 else "s"))

    def add_lost(self, lost: int, total: int, why: str, refusal: Callable[[], str]) -> None:
        """Notes faces of `total` that were left out, in the form of `add`.

        Raises `MeshError` with the sentence that `refusal` makes, where more than a tenth is lost: a mesh with so
        many holes is not the one that was meant.
        """
        if lost > _MOST_LOST * total:
            raise MeshError(f"{self._source}: {refusal()}")
        self.add(lost, why)

    def sentences(self) -> tuple[str, ...]:
        """Returns all sentences, in the order in which they were noted."""
        return tuple(self._sentences)


def plain_text(data: bytes, notes: Notes, source: str) -> bytes:
    r"""Returns a text file as UTF-8 without byte order mark, its lines ended by \n. Raises `MeshError` for broken
    UTF-16."""
    for mark, encoding in _WIDE_TEXT:
        if data.startswith(mark):
            try:
                data = data.decode(encoding).encode()
            except UnicodeError as exc:
                raise MeshError(
                    f"{source}: the text begins as {encoding.upper()} and goes on as something else; the file is "
                    "damaged: export it again."
                ) from exc
            notes.add(1, f"The file is {encoding.upper()} text, which few programs read; it was read as such.")
            break
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data


def unusable_positions(positions: Float64[np.ndarray, "V 3"]) -> Bool[np.ndarray, " V"]:
    """Marks the positions that are not finite, or so far out that float32 overflows."""
    return np.logical_not((np.abs(positions) <= LARGEST_POSITION).all(axis=1))


def finite_rows(pool: Float[np.ndarray, "N C"]) -> Bool[np.ndarray, " N"]:
    """Marks the rows all of whose numbers are finite."""
    return np.asarray(np.isfinite(pool).all(axis=1))


def keep_polygons(
    kept: Bool[np.ndarray, " P"], sizes: Int32[np.ndarray, " P"], *corner_arrays: Int[np.ndarray, " L"] | None
) -> tuple[Int32[np.ndarray, " Q"], list[Int32[np.ndarray, " M"] | None]]:
    """Returns the sizes and corner arrays of the polygons that are kept."""
    if kept.all():
        return sizes, [None if array is None else array.astype(np.int32) for array in corner_arrays]
    corners = np.repeat(kept, sizes)
    return sizes[kept], [None if array is None else array[corners].astype(np.int32) for array in corner_arrays]


def linear_colors(colors: Float[np.ndarray, "C 4"]) -> Float32[np.ndarray, "C 4"]:
    """Converts sRGB colours as files have them (0..1, or 0..255 where any is above 1) to linear ones; alpha stays
    linear."""
    colors = np.nan_to_num(colors.astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0)
    scale = 255.0 if colors.size and colors.max() > 1.0 else 1.0
    encoded = np.clip(colors / scale, 0.0, 1.0)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    linear[:, 3] = encoded[:, 3]
    return linear.astype(np.float32)
