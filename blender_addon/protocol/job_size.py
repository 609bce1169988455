# SPDX-License-Identifier: Apache-2.0
"""How large a job is, and whether a server has the memory for it: known from its specification alone, so that both
sides can tell before anything is uploaded.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ErrorCode, Retry, WireError
from .limits import Limits
from .specs.job import LIT_MAPS, TextureJobSpec

__all__ = [
    "BYTES_PER_LIT_TEXEL",
    "BYTES_PER_PICTURE_PIXEL",
    "BYTES_PER_TEXEL",
    "BYTES_PER_TRIANGLE",
    "MOST_TRIANGLES",
    "JobSize",
    "refusal",
    "size_of",
]

MOST_TRIANGLES = 2_000_000
"""Of all meshes of a job: no run takes more, on whatever machine (`pgc.mesh.MAX_TRIANGLES`)."""
BYTES_PER_TRIANGLE = 1500
"""Of main memory, at the peak, while a worker makes a mesh ready."""
BYTES_PER_TEXEL, BYTES_PER_LIT_TEXEL = 96, 264
"""With gradients and the optimiser's two moments; lit: all maps (`pgc.runs.memory.plan` counts the same on a card)."""
BYTES_PER_PICTURE_PIXEL = 64
"""Of main memory, while an object is cut out of a picture."""
_DEFAULT_SIDE = 2048
"""The largest that a preset takes where the job does not say."""


@dataclass(frozen=True, slots=True)
class JobSize:
    """Totals of a job. bytes: of its arrays, each counted once; memory: what a worker needs for it, about."""

    triangles: int
    texels: int
    bytes: int
    memory: int


def size_of(spec: TextureJobSpec) -> JobSize:
    """Returns the totals of a job."""
    triangles = sum(mesh.faces.shape[0] for mesh in spec.meshes)
    images = (spec.initial_texture, spec.lock_mask, *spec.initial_maps.values(), spec.guidance.oracle_texture or ())
    tiles = {image.tile for of in images for image in of}
    side = spec.settings.texture_size or max((max(image.array.shape[:2]) for of in images for image in of), default=0)
    texels = max(1, len(tiles)) * (side or _DEFAULT_SIDE) ** 2
    if spec.reshapes:
        texels, triangles = 0, triangles * 4 ** (spec.shape.subdivide if spec.shape is not None else 0)
    picture = None if spec.shape is None else spec.shape.picture
    pixels = 0 if picture is None else picture.pixels
    blobs = {ref.sha256: ref.nbytes for ref in spec.refs().values()}
    each = BYTES_PER_LIT_TEXEL if LIT_MAPS.intersection(spec.maps) else BYTES_PER_TEXEL
    memory = triangles * BYTES_PER_TRIANGLE + texels * each + pixels * BYTES_PER_PICTURE_PIXEL
    return JobSize(triangles, texels, sum(blobs.values()), memory)


def refusal(spec: TextureJobSpec, limits: Limits) -> WireError | None:
    """Returns what a server with these limits says of a job that is too large for it; None where it is not."""
    size = size_of(spec)
    if size.triangles > limits.triangles:
        return _too_large("meshes", "triangles", size.triangles, limits.triangles, "Decimate the mesh, or send parts.")
    vertices = max((mesh.positions.shape[0] for mesh in spec.meshes), default=0)
    if vertices > limits.vertices:
        return _too_large("meshes", "vertices in a mesh", vertices, limits.vertices, "Merge vertices by distance.")
    if limits.job_texels and size.texels > limits.job_texels:
        hint = "Take a smaller texture, or fewer UDIM tiles."
        return _too_large("settings.texture_size", "texels", size.texels, limits.job_texels, hint)
    if limits.job_bytes and size.bytes > limits.job_bytes:
        return _too_large("meshes", "bytes of arrays", size.bytes, limits.job_bytes, "Send fewer, or simpler, meshes.")
    picture = None if spec.shape is None else spec.shape.picture
    if picture is not None and limits.job_memory and size.memory > limits.job_memory:
        hint = f"Its picture has {picture.width} x {picture.height} pixels: make that smaller."
        return _too_large("shape.picture", "bytes of memory", size.memory, limits.job_memory, hint)
    if limits.job_memory and size.memory > limits.job_memory:
        hint = (
            f"It has {size.triangles:,} triangles and {size.texels:,} texels: decimate the mesh, or take less texture."
        )
        return _too_large("settings.texture_size", "bytes of memory", size.memory, limits.job_memory, hint)
    return None


def _too_large(field: str, what: str, got: int, most: int, hint: str) -> WireError:
    text = f"The job has {got:,} {what}; this server's machine takes {most:,} at most."
    if what == "bytes of memory":
        text = (
            f"The job needs about {got / 1e9:.1f} GB of memory; this server's machine has {most / 1e9:.1f} GB for one."
        )
    return WireError(ErrorCode.PROTO_TOO_LARGE, Retry.CHANGED, text, field=field, hint=hint)
