# SPDX-License-Identifier: GPL-3.0-or-later
"""New UVs from the server: what is sent of a mesh, and what comes of the answer."""

from __future__ import annotations

import uuid

import bpy
import numpy as np
import numpy.typing as npt

from ..client import MapFile, PromptSpec, TextureJobSpec
from ..model.recent_results import NEW_UV_MAP
from ..model.state import JobRequest, JobView, UnwrapTask
from ..protocol.arrays import array_ref, give_away
from ..protocol.job_size import MOST_TRIANGLES
from ..protocol.specs.job import NEW_UVS, MeshSpec
from ..scene.errors import SceneError
from ..scene.meshes.new_uvs import mesh_digest, put_corner_uvs
from ..scene.meshes.uv_reading import read_uv_arrays
from ..scene.ownership import check_unwrappable
from ..uv_measure import UvRemedy
from .submission import Order
from .uv_checks import checks, textured_map

__all__ = ["prepare_unwrap", "put_new_uvs", "unwrap_hindrance"]


def prepare_unwrap(obj: bpy.types.Object) -> Order:
    """Prepares the job for new UVs of an object's own mesh, in the proportions that the object has.

    Raises:
        SceneError: the mesh cannot get a UV map, or has nothing to unwrap.
    """
    check_unwrappable(obj)
    mesh, before = obj.data, textured_map(obj)
    check = checks().look(obj)
    arrays = read_uv_arrays(mesh, before)
    if len(arrays.faces) == 0:
        raise SceneError(f"{obj.name} has no faces, so there is nothing to unwrap.")
    if len(arrays.faces) > MOST_TRIANGLES:
        raise SceneError(
            f"{obj.name} has {len(arrays.faces):,} triangles, and the server unwraps at most {MOST_TRIANGLES:,}; "
            "use Smart UV Project."
        )
    given = {
        "positions": _in_proportion(arrays.positions, np.array(obj.matrix_world, np.float64)[:3, :3]),
        "faces": arrays.faces,
        "polygon_index": arrays.polygons,
    }
    refs = {name: array_ref(give_away(array)) for name, array in given.items()}
    spec = TextureJobSpec(
        meshes=(MeshSpec(name=obj.name, **refs),),
        prompt=PromptSpec(text="UVs"),
        maps=(NEW_UVS,),
        name=NEW_UV_MAP.format(name=obj.name),
    )
    fill = check is not None and check.judgement.remedy is UvRemedy.FILL
    task = UnwrapTask(digest=mesh_digest(mesh, before), before=before, fill=fill, triangles=len(arrays.faces))
    view = JobView(uuid.uuid4().hex, JobRequest(prompt=""), obj.name, obj.session_uid, unwrap=task)
    return Order(view, spec, {refs[name].sha256: array for name, array in given.items()})


def _in_proportion(positions: npt.NDArray[np.float32], turn: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Positions as the object shows them, not mirrored; as they are where it shows them flat."""
    volume = float(np.linalg.det(turn))
    if not np.isfinite(volume) or abs(volume) < 1e-18:
        return positions
    moved = positions.astype(np.float64) @ turn.T * np.sign(volume)
    return np.ascontiguousarray(moved, dtype=np.float32)


def unwrap_hindrance(view: JobView, obj: bpy.types.Object) -> str:
    """Says why new UVs cannot be put on their mesh now, as a sentence; "" where they can."""
    if obj.mode != "OBJECT":
        return f"The new UVs of {obj.name} are ready. Go to Object Mode to get them."
    return ""


def put_new_uvs(view: JobView, obj: bpy.types.Object) -> str:
    """Puts what came into a new UV map; returns a sentence for the artist.

    Raises:
        SceneError: the mesh is another one by now, or cannot get a UV map.
    """
    task = view.unwrap
    ((file, data),) = view.files.items()
    if task is None or file.map != NEW_UVS:
        raise SceneError("The server sent something else than UVs; make them again.", "pgc.unwrap_on_server")
    if not obj.data.is_editable or obj.data.override_library is not None:
        check_unwrappable(obj)
    if mesh_digest(obj.data, task.before) != task.digest:
        raise SceneError(
            f"{obj.name} was changed while its new UVs were made, so that they do not fit; make them again.",
            "pgc.unwrap_on_server",
        )
    name = put_corner_uvs(obj.data, _corner_uvs(file, data), task.before, task.fill)
    settings = bpy.context.scene.pgc
    if settings.uv_map:
        settings.uv_map = name
    checks().forget(obj)
    return f"{name} is the new UV map; the others are as they were." if task.before else f"{name} is the new UV map."


def _corner_uvs(file: MapFile, data: bytes) -> npt.NDArray[np.float32]:
    values = np.frombuffer(data, "<f4")
    if values.size != file.height * 6 or not np.isfinite(values).all():
        raise SceneError("The server sent UVs that are damaged; make them again.", "pgc.unwrap_on_server")
    return values.reshape(file.height, 3, 2).astype(np.float32)
