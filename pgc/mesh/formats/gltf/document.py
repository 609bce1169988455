# SPDX-License-Identifier: Apache-2.0
"""The JSON of a .gltf or .glb with the binary chunk beside it, refused where it needs what we cannot do."""

import json
import struct
from dataclasses import dataclass
from typing import Any

from pgc.errors import MeshError
from pgc.mesh.formats.gltf.fields import Fields
from pgc.mesh.formats.gltf.notes import NoteCounts

__all__ = ["Document", "parse_document"]

_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942
_GEOMETRY = frozenset(
    {
        "KHR_mesh_quantization",
        "KHR_draco_mesh_compression",
        "EXT_meshopt_compression",
        "KHR_meshopt_compression",
        "EXT_mesh_gpu_instancing",
        "KHR_node_visibility",
    }
)
"""Extensions that change the geometry and are read here."""
_LOOKS = (
    "KHR_materials_", "KHR_technique", "KHR_texture_", "KHR_lights_", "KHR_animation_", "KHR_xmp", "EXT_materials_",
    "EXT_texture_", "EXT_lights_", "EXT_image_", "MSFT_texture_", "MSFT_packing_", "ADOBE_materials_",
    "NV_materials_", "VRMC_materials_",
)  # fmt: skip
"""Beginnings of the names of extensions that change only materials, pictures, lights or motion."""
_NO_GEOMETRY = frozenset(
    {
        "KHR_environment_map", "KHR_node_selectability", "KHR_node_hoverability",
        "KHR_interactivity", "KHR_audio", "EXT_mesh_features", "EXT_instance_features", "EXT_structural_metadata",
        "EXT_mesh_manifold", "FB_geometry_metadata", "CESIUM_primitive_outline", "MSFT_lod", "VRM", "VRMC_vrm",
        "VRMC_springBone",
    }
)  # fmt: skip
"""Other extensions that leave the default geometry as it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """The file as every other part reads it."""

    root: Fields
    binary: memoryview | None
    """The binary chunk of a GLB."""
    notes: NoteCounts

    @property
    def source(self) -> str:
        """Name of the file, for messages."""
        return self.root.source

    def requires(self, extension: str) -> bool:
        """Says whether the file says that it cannot be read without an extension."""
        return extension in self.root.texts("extensionsRequired")


def parse_document(source: str, data: bytes) -> Document:
    """Parses the bytes of a file named `source`, GLB or JSON by its first bytes (suffixes are often wrong).

    Raises `MeshError` for what is cut off or no glTF 2.0, and for required extensions that are not known here.
    """
    notes = NoteCounts()
    binary = None
    if data[:4] == b"glTF":
        data, binary = _chunks(source, data, notes)
    root = Fields(source, "", _json(source, data))
    _check_version(root)
    _check_extensions(root)
    return Document(root, binary, notes)


def _chunks(source: str, data: bytes, notes: NoteCounts) -> tuple[bytes, memoryview | None]:
    """The JSON chunk and, if there is one, the binary chunk; chunks of other types are left out, as glTF 2.0 §4.4
    says."""
    if len(data) < 20:
        raise MeshError(f"{source}: the GLB has {len(data)} bytes, it is cut off: export it again.")
    version, length = struct.unpack_from("<II", data, 4)
    if version == 1:
        raise _wrong_version(source, "1.0")
    if version != 2 or length > len(data):
        raise MeshError(
            f"{source}: the GLB (version {version}) says {length:,} bytes but has {len(data):,}; "
            "it is cut off or not glTF 2.0: export it again."
        )
    found: list[tuple[int, memoryview]] = []
    offset = 12
    while offset + 8 <= length:
        size, kind = struct.unpack_from("<II", data, offset)
        if offset + 8 + size > length:
            raise MeshError(
                f"{source}: chunk number {len(found)} of the GLB says {size:,} bytes but has {length - offset - 8:,}; "
                "it is cut off: export it again."
            )
        found.append((kind, memoryview(data)[offset + 8 : offset + 8 + size]))
        offset += 8 + size
    if not found or found[0][0] != _JSON_CHUNK:
        raise MeshError(f"{source}: the GLB does not begin with JSON, as glTF 2.0 does: export it again.")
    notes.add("{count} byte(s) after the end of the GLB were left out.", len(data) - length)
    binaries = [chunk for kind, chunk in found[1:] if kind == _BINARY_CHUNK]
    # Some fill the JSON up with zeros instead of spaces.
    return bytes(found[0][1]).rstrip(b"\0"), binaries[0] if binaries else None


def _json(source: str, data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except RecursionError as exc:
        raise MeshError(f"{source}: the glTF's JSON is nested too deeply; export the mesh again.") from exc
    except ValueError as exc:
        raise MeshError(
            f"{source}: this is not a readable glTF ({_first_line(exc)}); the file is damaged or cut off, or something "
            "else with this extension: export it again."
        ) from exc
    if not isinstance(found, dict):
        raise MeshError(f"{source}: the glTF's JSON is a {type(found).__name__}, expected an object: export it again.")
    return found


def _first_line(error: ValueError) -> str:
    return (str(error).splitlines() or [""])[0][:100]


def _check_version(root: Fields) -> None:
    """A file without a version is read as 2.0, unless its lists are objects, as in 1.0."""
    asset = root.child("asset")
    needed = asset.text("minVersion")
    version = needed or asset.text("version") or ("1.0" if isinstance(root.values.get("nodes"), dict) else "2.0")
    if version.split(".")[0] != "2" or needed not in ("", "2", "2.0"):
        raise _wrong_version(root.source, version)


def _wrong_version(source: str, version: str) -> MeshError:
    return MeshError(f"{source}: this is glTF {version[:20]}, expected 2.0; export it as glTF 2.0.")


def _check_extensions(root: Fields) -> None:
    unknown = [
        name
        for name in root.texts("extensionsRequired")
        if name not in _GEOMETRY and name not in _NO_GEOMETRY and not name.startswith(_LOOKS)
    ]
    if unknown:
        raise MeshError(
            f"{root.source}: the glTF requires {', '.join(sorted(set(unknown)))[:200]}, which is not known here, so "
            "its geometry would come out wrong; export it without this extension."
        )
