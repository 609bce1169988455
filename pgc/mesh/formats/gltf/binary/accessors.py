# SPDX-License-Identifier: Apache-2.0
"""Accessors: typed numbers out of buffer views, by the rows that are asked for.

Only asked-for rows are read, so that an accessor of four thousand million zeros costs what its faces use of it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from pgc.errors import MeshError
from pgc.mesh.formats.gltf.binary.buffers import Buffers
from pgc.mesh.formats.gltf.fields import Fields

__all__ = ["Accessor", "open_accessor"]

_COMPONENTS = {
    number: np.dtype(name)
    for number, name in (
        (5120, "i1"), (5121, "u1"), (5122, "<i2"), (5123, "<u2"), (5125, "<u4"), (5126, "<f4"), (5124, "<i4"),
        (5130, "<f8"),
    )
}  # fmt: skip
"""glTF 2.0 §3.6.2.2, and the two that files use without leave: INT and DOUBLE."""
_TYPES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
"""Of the matrices only MAT4 is read here (inverse bind matrices): its columns are never padded."""


@dataclass(frozen=True, slots=True, eq=False)
class Accessor:
    """`count` rows of `components` numbers. Sparse rows lie over the base, which is zeros where there is none."""

    count: int
    components: int
    dtype: np.dtype[np.generic]
    normalized: bool
    base: Shaped[np.ndarray, "N C"] | None
    """A view into the file's bytes."""
    sparse_rows: Int64[np.ndarray, " S"]
    """Ascending row numbers."""
    sparse_values: Shaped[np.ndarray, "S C"] | None

    def raw(self, rows: Int64[np.ndarray, " K"]) -> Shaped[np.ndarray, "K C"]:
        """Returns the numbers of some rows as they are stored; rows lie in 0..count-1."""
        found = np.zeros((len(rows), self.components), self.dtype) if self.base is None else self.base[rows]
        if self.sparse_values is not None and len(self.sparse_rows):
            place = np.minimum(np.searchsorted(self.sparse_rows, rows), len(self.sparse_rows) - 1)
            over = self.sparse_rows[place] == rows
            found[over] = self.sparse_values[place[over]]
        return found

    def floats(self, rows: Int64[np.ndarray, " K"]) -> Float64[np.ndarray, "K C"]:
        """Reads some rows as numbers; normalized integers as [0, 1] or [-1, 1] (glTF 2.0 §3.11)."""
        with np.errstate(invalid="ignore"):
            values = self.raw(rows).astype(np.float64)
        if not self.normalized or self.dtype.kind == "f":
            return values
        bits = 8 * self.dtype.itemsize
        values /= 2.0 ** (bits - 1) - 1.0 if self.dtype.kind == "i" else 2.0**bits - 1.0
        return np.maximum(values, -1.0) if self.dtype.kind == "i" else values


def open_accessor(buffers: Buffers, index: int, types: tuple[str, ...]) -> Accessor:
    """Opens accessor number `index`, of one of the `types` ("VEC3"). Raises `MeshError` where it reaches past its
    bytes."""
    fields = buffers.document.root.item("accessors", index)
    kind = fields.text("type")
    if kind not in types:
        raise MeshError(
            f"{fields.source}: {fields.place} is of type {kind[:20]!r}, expected {' or '.join(types)}; export it again."
        )
    dtype = _dtype(fields)
    count, components = fields.integer("count"), _TYPES[kind]
    base = None
    if "bufferView" in fields:
        view = fields.integer("bufferView")
        stride = buffers.document.root.item("bufferViews", view).integer("byteStride", 0)
        base = _strided(fields, buffers.view(view), (count, components), dtype, stride)
    sparse_rows, sparse_values = _sparse(buffers, fields, (count, components), dtype)
    return Accessor(count, components, dtype, fields.flag("normalized", False), base, sparse_rows, sparse_values)


def _dtype(fields: Fields) -> np.dtype[np.generic]:
    kind = fields.integer("componentType")
    if kind not in _COMPONENTS:
        raise MeshError(
            f"{fields.source}: {fields.place} has component type {kind}, expected one of "
            f"{', '.join(map(str, _COMPONENTS))}; export it again."
        )
    return _COMPONENTS[kind]


def _strided(
    fields: Fields, data: memoryview, shape: tuple[int, int], dtype: np.dtype[np.generic], stride: int
) -> Shaped[np.ndarray, "N C"]:
    """A view [count, components] of bytes; a stride of 0 means one row directly after the other."""
    count, components = shape
    size = components * dtype.itemsize
    stride, offset = stride or size, fields.integer("byteOffset", 0)
    needed = offset + stride * (count - 1) + size if count else 0
    if needed > len(data):
        raise MeshError(
            f"{fields.source}: {fields.place} needs {needed:,} bytes of a buffer view that has {len(data):,}; "
            "the file is damaged or cut off: export it again."
        )
    return np.ndarray(shape, dtype, data, offset, (stride, dtype.itemsize)) if count else np.zeros(shape, dtype)


def _sparse(
    buffers: Buffers, fields: Fields, shape: tuple[int, int], dtype: np.dtype[np.generic]
) -> tuple[Int64[np.ndarray, " S"], Shaped[np.ndarray, "S C"] | None]:
    sparse = fields.optional_child("sparse")
    if sparse is None:
        return np.zeros(0, np.int64), None
    count = sparse.integer("count")
    indices, values = sparse.child("indices"), sparse.child("values")
    index_view, value_view = buffers.view(indices.integer("bufferView")), buffers.view(values.integer("bufferView"))
    row_dtype = _dtype(indices)
    if row_dtype.kind == "f":
        raise MeshError(f"{indices.source}: {indices.place} are no whole numbers; export it again.")
    rows = _strided(indices, index_view, (count, 1), row_dtype, 0)[:, 0].astype(np.int64)
    replaced = _strided(values, value_view, (count, shape[1]), dtype, 0)
    inside = (rows >= 0) & (rows < shape[0])
    buffers.document.notes.add(
        "{count} sparse value(s) that point past their accessor were left out.", int((~inside).sum())
    )
    rows, replaced = rows[inside], replaced[inside]
    # They ought to ascend; where one is given twice, the last counts, as writing them one after another would do.
    order = np.argsort(rows, kind="stable")
    rows, replaced = rows[order], replaced[order]
    last = np.append(rows[1:] != rows[:-1], True) if len(rows) else np.zeros(0, bool)
    return rows[last], replaced[last]
