# SPDX-License-Identifier: Apache-2.0
"""Bytes of a glTF's buffers and buffer views: in the GLB, in data URIs, in files beside it."""

import base64
import binascii
import os
import posixpath
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

from pgc.errors import MeshError
from pgc.mesh.formats.gltf.binary.meshopt import decode_meshopt
from pgc.mesh.formats.gltf.document import Document
from pgc.mesh.formats.gltf.fields import Fields

__all__ = ["MAX_BUFFER_BYTES", "Buffers"]

MAX_BUFFER_BYTES = 1 << 30
"""Two million triangles need a third of this."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_MESHOPT = ("KHR_meshopt_compression", "EXT_meshopt_compression")


@dataclass(frozen=True, slots=True, eq=False)
class Buffers:
    """Reads each buffer at most once, when it is first asked for."""

    document: Document
    folder: Path
    """Where the file lies: URIs are relative to it."""
    _buffers: dict[int, memoryview] = field(default_factory=dict)
    _views: dict[int, memoryview] = field(default_factory=dict)

    def view(self, index: int) -> memoryview:
        """Returns the bytes of a buffer view, decompressed where EXT_meshopt_compression has it. Raises `MeshError`."""
        if index not in self._views:
            view = self.document.root.item("bufferViews", index)
            packed = next((found for name in _MESHOPT if (found := view.extension(name)) is not None), None)
            self._views[index] = (
                self._slice(view) if packed is None else memoryview(decode_meshopt(packed, self._slice(packed)))
            )
        return self._views[index]

    def _slice(self, view: Fields) -> memoryview:
        data = self._buffer(view.integer("buffer"))
        offset, length = view.integer("byteOffset", 0), view.integer("byteLength")
        if offset + length > len(data):
            raise MeshError(
                f"{view.source}: {view.place} reads bytes {offset:,} to {offset + length:,} of a buffer that has "
                f"{len(data):,}; the file is damaged or cut off: export it again."
            )
        return data[offset : offset + length]

    def _buffer(self, index: int) -> memoryview:
        if index not in self._buffers:
            self._buffers[index] = self._read(index, self.document.root.item("buffers", index))
        return self._buffers[index]

    def _read(self, index: int, buffer: Fields) -> memoryview:
        length = buffer.integer("byteLength", MAX_BUFFER_BYTES)
        uri = buffer.text("uri")
        if not uri:
            if index == 0 and self.document.binary is not None:
                return self.document.binary
            raise MeshError(
                f"{buffer.source}: {buffer.place} has neither a uri nor bytes in the file; "
                "the file is damaged or cut off: export it again."
            )
        data = _from_data_uri(buffer, uri) if uri[:5].lower() == "data:" else self._from_file(buffer, uri, length)
        self.document.notes.add("{count} buffer(s) are shorter than the file says.", int(len(data) < length < 2**30))
        return memoryview(data)[:length]

    def _from_file(self, buffer: Fields, uri: str, length: int) -> bytes:
        path = self._path(buffer, uri)
        if length > MAX_BUFFER_BYTES:
            raise MeshError(
                f"{buffer.source}: its buffer file {path.name!r} has {length:,} bytes, at most {MAX_BUFFER_BYTES:,} "
                "are read; export the mesh alone, without animations."
            )
        try:
            with path.open("rb") as file:
                return file.read(length)
        except OSError as exc:
            raise MeshError(
                f"{buffer.source}: its buffer file {path.name!r} cannot be opened ({exc.strerror}); "
                "check that it is a file you may read."
            ) from exc

    def _path(self, buffer: Fields, uri: str) -> Path:
        """The file of a relative URI. Names are percent-encoded by the specification; some exporters forget that."""
        plain = unquote(uri)
        for name in dict.fromkeys((plain, uri, plain.replace("\\", "/"))):
            inside = posixpath.normpath(name)
            if _SCHEME.match(name) or inside.startswith(("/", "\\", "../")) or inside in ("..", "."):
                raise MeshError(
                    f"{buffer.source}: its buffer {name[:100]!r} lies outside the file's own folder, expected a file "
                    "beside it; export the mesh as one .glb."
                )
            if "\0" not in name and os.path.isfile(self.folder / inside):
                return self.folder / inside
        raise MeshError(
            f"{buffer.source}: its buffer file {plain[:100]!r} is not there; put it beside the glTF, or export the "
            "mesh as one .glb."
        )


def _from_data_uri(buffer: Fields, uri: str) -> bytes:
    head, comma, body = uri.partition(",")
    try:
        if not comma:
            raise binascii.Error("no comma")
        if not head.lower().endswith(";base64"):
            return unquote_to_bytes(body)
        text = unquote_to_bytes(body)
        return base64.b64decode(text + b"=" * (-len(text.rstrip(b"=")) % 4) if b"=" not in text else text)
    except (binascii.Error, ValueError) as exc:
        raise MeshError(
            f"{buffer.source}: the data URI of {buffer.place} is damaged ({exc}); export it again."
        ) from exc
