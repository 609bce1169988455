# SPDX-License-Identifier: Apache-2.0
"""A .blend with the textured mesh, written by a Blender of its own, so that nothing here imports bpy."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32

import pgc
from pgc.errors import OutputError
from pgc.mesh.data import Mesh, Normalization, PreparedMesh
from pgc.whole_files import replacing

__all__ = ["BlenderProgram", "find_blender", "write_blend"]

_FLAGS = ("--background", "--factory-startup", "--python-exit-code", "3", "--python-expr")
_SCRIPT = (
    "import sys; sys.path.insert(0, {root!r}); "
    "from pathlib import Path; from blender_addon.scene.blend_file import write_blend; "
    "write_blend(Path({description!r}))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlenderProgram:
    """A Blender that can be started.

    Attributes:
        program: Blender's executable, or a Python that has its module bpy.
        is_module: True for the latter.
        limit: seconds until it is given up.
    """

    program: str
    is_module: bool = False
    limit: float = 600.0

    def command(self, script: str) -> list[str]:
        """Returns the command that runs Python code in Blender."""
        if self.is_module:
            return [self.program, "-c", "import bpy; " + script]
        return [self.program, *_FLAGS, script]


def find_blender(environment: Mapping[str, str]) -> BlenderProgram | None:
    """Finds BLENDER_BIN (Blender's executable), PGC_BPY_PYTHON (a Python with bpy), `blender` on the PATH, or this
    Python."""
    if program := environment.get("BLENDER_BIN"):
        return BlenderProgram(program=program)
    if python := environment.get("PGC_BPY_PYTHON"):
        return BlenderProgram(program=python, is_module=True)
    if program := shutil.which("blender", path=environment.get("PATH")):
        return BlenderProgram(program=program)
    if importlib.util.find_spec("bpy") is not None:
        return BlenderProgram(program=sys.executable, is_module=True)
    return None


def write_blend(
    path: Path, prepared: PreparedMesh, images: Mapping[str, Mapping[int, bytes]], blender: BlenderProgram
) -> None:
    """Writes a .blend whose one object has the caller's polygons, UVs and normals, and the maps packed in.

    Args:
        path: ends in .blend.
        prepared: the mesh; turned to Blender's Z-up axes, which rounds nothing.
        images: PNG bytes by map (base_color, orm, roughness, metallic, occlusion, normal) and tile.
        blender: what writes it.

    Raises:
        OutputError: Blender cannot be started or fails, or the file cannot be written.
    """
    root = _addon_root()
    with replacing(path) as temporary, tempfile.TemporaryDirectory(prefix="pgc-blend-") as folder:
        description = Path(folder) / "description.json"
        output = Path(folder) / "result.blend"
        np.savez(Path(folder) / "arrays.npz", **_arrays(prepared))
        job = {
            "output": str(output),
            "name": prepared.mesh.name,
            "arrays": str(Path(folder) / "arrays.npz"),
            "slots": len(prepared.mesh.material_names),
            "uv_layers": _uv_layers(prepared.mesh),
            "textured": _textured_name(prepared.mesh),
            "maps": _maps(Path(folder), images),
        }
        description.write_text(json.dumps(job), encoding="utf-8")
        _run(blender, _SCRIPT.format(root=str(root), description=str(description)), path)
        if not output.is_file():
            raise OutputError(f"{path}: Blender ended without writing it; look at its own messages: {blender.program}.")
        shutil.copyfile(output, temporary)


def _addon_root() -> Path:
    """The folder that holds blender_addon with its scene package, which a wheel does not carry."""
    root = Path(pgc.__file__).resolve().parents[1]
    if not (root / "blender_addon" / "scene" / "blend_file.py").is_file():
        raise OutputError(
            "A .blend is written by the add-on's own code, which is not installed with the package; run from a "
            "checkout of the repository, or import the GLB in Blender."
        )
    return root


def _arrays(prepared: PreparedMesh) -> dict[str, Any]:
    mesh = prepared.mesh
    if mesh.uvs is None or mesh.corner_uvs is None:
        raise OutputError(f"{mesh.name}: the mesh has no UVs to export; prepare it first.")
    rotation = Normalization(scale=1.0, center=(0.0, 0.0, 0.0), up_axis=mesh.up_axis).rotation()
    arrays = {
        "positions": ((mesh.positions - mesh.origin) @ rotation.T).astype(np.float32),
        "location": mesh.origin @ rotation.T,
        "polygon_sizes": mesh.polygon_sizes,
        "corner_positions": mesh.corner_positions,
        "corner_uvs": mesh.uvs[mesh.corner_uvs],
        "material_index": mesh.material_index,
    }
    for number, other in enumerate(mesh.other_uv_sets):
        arrays[f"other_uvs_{number}"] = _by_corner(other.uvs, other.corner_uvs, 0.0)
    if mesh.colors is not None and mesh.corner_colors is not None:
        arrays["corner_colors"] = _by_corner(mesh.colors, mesh.corner_colors, 1.0)
    if mesh.normals is not None and mesh.corner_normals is not None and len(mesh.normals):
        normals = _by_corner(mesh.normals, mesh.corner_normals, 0.0)
        arrays["corner_normals"] = normals @ rotation.T.astype(np.float32)
    return arrays


def _uv_layers(mesh: Mesh) -> list[dict[str, Any]]:
    """All UV sets in the file's order."""
    others = [
        (other.index, 0, {"name": other.name, "array": f"other_uvs_{number}"})
        for number, other in enumerate(mesh.other_uv_sets)
    ]
    ordered = sorted(
        [*others, (mesh.uv_index, 1, {"name": _textured_name(mesh), "array": "corner_uvs"})],
        key=lambda item: item[:2],
    )
    return [layer for _, _, layer in ordered]


def _textured_name(mesh: Mesh) -> str:
    """What the file calls the textured set; the name that Blender gives to what has none."""
    return mesh.uv_name or "UVMap"


def _by_corner(
    pool: Float32[np.ndarray, "N C"], corners: Int32[np.ndarray, " L"], none: float
) -> Float32[np.ndarray, "L C"]:
    """Values by corner, `none` where a corner has none."""
    if len(pool) == 0:
        return np.full((len(corners), pool.shape[1]), none, np.float32)
    return np.where(corners[:, None] >= 0, pool[np.maximum(corners, 0)], np.float32(none))


def _maps(folder: Path, images: Mapping[str, Mapping[int, bytes]]) -> dict[str, Any]:
    maps = {}
    for name, tiles in images.items():
        files = {}
        for tile, png in tiles.items():
            file = folder / f"{name}.{tile}.png"
            file.write_bytes(png)
            files[tile] = str(file)
        maps[name] = {"color_space": "srgb" if name == "base_color" else "linear", "files": files}
    return maps


def _run(blender: BlenderProgram, script: str, path: Path) -> None:
    try:
        done = subprocess.run(
            blender.command(script),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=blender.limit,
            check=False,
        )
    except OSError as error:
        raise OutputError(f"{path}: Blender ({blender.program}) cannot be started: {error.strerror}.") from error
    except subprocess.TimeoutExpired as error:
        raise OutputError(f"{path}: Blender was not done after {blender.limit:.0f} s; it was stopped.") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise OutputError(f"{path}: Blender ended with exit code {done.returncode}: {last}")
