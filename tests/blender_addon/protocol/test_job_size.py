# SPDX-License-Identifier: Apache-2.0
"""A job that is too large is refused in one sentence that names limit and figure, from its specification alone."""

import re
from dataclasses import replace

import pytest

from blender_addon.protocol.arrays import ArrayRef, DType
from blender_addon.protocol.errors import ErrorCode, Retry
from blender_addon.protocol.job_size import BYTES_PER_LIT_TEXEL, BYTES_PER_TEXEL, BYTES_PER_TRIANGLE, refusal, size_of
from blender_addon.protocol.limits import DEFAULT_LIMITS, Limits
from blender_addon.protocol.specs.job import (
    MeshSpec,
    ModelSpec,
    PromptSpec,
    SettingsSpec,
    TextureJobSpec,
    TileImage,
)
from blender_addon.protocol.structure import from_wire, to_wire

TIGHT = replace(
    DEFAULT_LIMITS, triangles=1000, vertices=900, job_texels=1 << 20, job_bytes=100_000, job_memory=60_000_000
)


def _ref(number: int, dtype: DType, *shape: int) -> ArrayRef:
    return ArrayRef(f"{number:064x}", dtype, shape)


def _mesh(faces: int, vertices: int = 3, number: int = 0) -> MeshSpec:
    return MeshSpec(
        name="m",
        positions=_ref(3 * number, DType.F32, vertices, 3),
        faces=_ref(3 * number + 1, DType.I32, faces, 3),
        corner_uvs=_ref(3 * number + 2, DType.F32, faces, 3, 2),
    )


def _job(*meshes: MeshSpec, size: int | None = 64, **more) -> TextureJobSpec:
    return TextureJobSpec(
        meshes=meshes, prompt=PromptSpec(text="oak"), settings=SettingsSpec(texture_size=size), **more
    )


def test_sizes_are_totals():
    size = size_of(_job(_mesh(10), _mesh(20, number=1)))
    assert (size.triangles, size.texels) == (30, 64 * 64)
    assert size.bytes == 30 * (12 + 24) + 2 * 36
    assert size.memory == 30 * BYTES_PER_TRIANGLE + 64 * 64 * BYTES_PER_TEXEL
    # An array that is named twice is sent once, but both meshes need memory.
    twice = size_of(_job(_mesh(10), _mesh(10)))
    assert (twice.triangles, twice.bytes) == (20, 10 * 36 + 36)


@pytest.mark.parametrize("faces", [1, 700, 1000, 5000, 1_999_999])
def test_memory_is_of_triangles_and_texels_together(faces):
    assert size_of(_job(_mesh(faces))).memory == sum((faces * BYTES_PER_TRIANGLE, 64 * 64 * BYTES_PER_TEXEL))


def test_tiles_maps_and_defaults_count():
    images = tuple(TileImage(tile=tile, array=_ref(90, DType.U8, 128, 128, 3)) for tile in (1001, 1002))
    assert size_of(_job(_mesh(1), size=None)).texels == 2048**2
    job = _job(_mesh(1), size=None, guidance=ModelSpec(model="oracle", oracle_texture=images), maps=("roughness",))
    assert size_of(job).texels == 2 * 128**2
    assert size_of(job).memory == BYTES_PER_TRIANGLE + 2 * 128**2 * BYTES_PER_LIT_TEXEL


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (_job(_mesh(1001)), "1,001 triangles; this server's machine takes 1,000 at most"),
        (_job(_mesh(600), _mesh(600)), "1,200 triangles"),
        (_job(_mesh(1, vertices=901)), "901 vertices in a mesh; .* 900 at most"),
        (_job(_mesh(1), size=2048), "4,194,304 texels; .* 1,048,576 at most"),
        (_job(*(_mesh(100, 890, number) for number in range(9))), "128,520 bytes of arrays; .* 100,000 at most"),
        (_job(_mesh(1), size=1024), r"0\.1 GB of memory; this server's machine has 0\.1 GB for one"),
    ],
)
def test_what_is_too_large_is_refused_with_limit_and_figure(job, said):
    error = refusal(job, TIGHT)
    assert error is not None
    assert (error.code, error.retry) == (ErrorCode.PROTO_TOO_LARGE, Retry.CHANGED)
    assert re.search(said, error.text), error.text
    assert error.field
    assert error.hint


def test_what_fits_and_what_an_older_server_told_is_not_refused():
    assert refusal(_job(_mesh(1000, 900), size=512), TIGHT) is None
    assert refusal(_job(_mesh(12_800_000), size=8192), DEFAULT_LIMITS) is None


def test_limits_of_1_0_keep_their_bytes_and_new_ones_travel():
    assert "job_memory" not in to_wire(DEFAULT_LIMITS)
    assert from_wire(Limits, to_wire(TIGHT)) == TIGHT
