# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a mesh is refused by the name of the entry, in any piece of any array."""

import tracemalloc

import numpy as np
import pytest

from blender_addon.protocol.arrays import ArrayRef, DType, array_ref
from blender_addon.protocol.errors import ErrorCode, ProtocolError, Retry
from blender_addon.protocol.specs import mesh_checks
from blender_addon.protocol.specs.job import MeshSpec
from blender_addon.protocol.specs.mesh_checks import check_mesh

FACES = 5


@pytest.fixture(autouse=True, params=[1 << 20, 7])
def piece(request, monkeypatch):
    """With pieces as they are, and so small that every array has several."""
    monkeypatch.setattr(mesh_checks, "_PIECE", request.param)


def arrays():
    random = np.random.default_rng(0)
    return {
        "positions": random.random((7, 3), np.float32),
        "faces": np.array([[0, 1, 2], [2, 3, 4], [4, 5, 6], [6, 0, 1], [1, 3, 5]], np.int32),
        "corner_uvs": random.random((FACES, 3, 2), np.float32),
        "corner_normals": random.random((FACES, 3, 3), np.float32),
        "corner_tangents": random.random((FACES, 3, 4), np.float32),
        "polygon_index": np.arange(FACES, dtype=np.int32),
        "material_index": np.zeros(FACES, np.int32),
        "textured": np.array([0, 0, 1, 0, 1], np.uint8),
    }


def spec_of(given):
    return MeshSpec(name="mesh", **{name: array_ref(array) for name, array in given.items()})


def refusal(given, path="meshes[0]"):
    with pytest.raises(ProtocolError) as caught:
        check_mesh(spec_of(given), given, path)
    error = caught.value.error
    assert (error.code, error.retry) == (ErrorCode.INPUT_INVALID, Retry.CHANGED)
    return str(caught.value)


def test_a_good_mesh_passes():
    given = arrays()
    check_mesh(spec_of(given), given)
    few = {name: given[name] for name in ("positions", "faces")}
    check_mesh(spec_of(few), few)
    # What the spec does not name is not looked at.
    check_mesh(spec_of(few), {**few, "textured": np.full(FACES, 9, np.uint8)})


def test_mapped_files_pass(tmp_path):
    given = arrays()
    for name, array in given.items():
        array.tofile(tmp_path / name)
        given[name] = np.memmap(tmp_path / name, array.dtype, "r", shape=array.shape)
    check_mesh(spec_of(given), given)


@pytest.mark.parametrize("index", [7, 90412, -1, -(2**31), 2**31 - 1])
def test_indices(index):
    given = arrays()
    given["faces"][3, 1] = index
    assert refusal(given, "meshes[2]") == f"meshes[2].faces[3]: index {index}, but the mesh has 7 vertices"


@pytest.mark.parametrize("name", ["positions", "corner_uvs", "corner_normals", "corner_tangents"])
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.nan, "Got nan; expected a finite number."),
        (np.inf, "Got inf; expected a finite number."),
        (-np.inf, "Got -inf; expected a finite number."),
        (1e30, "Got 1e+30; expected -"),
        (-1e30, "Got -1e+30; expected -"),
    ],
)
def test_numbers(name, value, text):
    given = arrays()
    place = (4, 2, 1)[: given[name].ndim]
    given[name][place] = value
    assert refusal(given).startswith(f"meshes[0].{name}{''.join(f'[{at}]' for at in place)}: {text}")


@pytest.mark.parametrize(("name", "value"), [("polygon_index", -1), ("material_index", -1), ("material_index", 32768)])
def test_polygons_and_materials(name, value):
    given = arrays()
    given[name][4] = value
    assert refusal(given).startswith(f"meshes[0].{name}[4]: Got {value}; expected 0 to ")


def test_textured():
    given = arrays()
    given["textured"][4] = 2
    assert refusal(given) == "meshes[0].textured[4]: Got 2; expected 0 or 1."
    given["textured"][:] = 0
    assert "expected a 1 for at least one" in refusal(given)


@pytest.mark.parametrize("kind", ["points", "lines", "one place"])
def test_degenerate(kind):
    given = arrays()
    if kind == "points":
        given["faces"][:] = 3
    elif kind == "lines":
        given["positions"][:] = np.linspace(0, 1, 7, dtype=np.float32)[:, None]
    else:
        given["positions"][:] = 0.25
    assert refusal(given).startswith("meshes[0].faces: All triangles are degenerate")
    # One that is not is enough, and it may be tiny.
    given = arrays()
    given["positions"] *= np.float32(1e-9)
    given["faces"][:4] = 3
    check_mesh(spec_of(given), given)


def test_empty_meshes():
    given = {"positions": np.zeros((0, 3), np.float32), "faces": arrays()["faces"]}
    assert refusal(given) == "meshes[0].positions: The mesh has no vertices."


def test_arrays_must_be_what_the_spec_states():
    given = arrays()
    spec = spec_of(given)
    with pytest.raises(ProtocolError, match=r"meshes\[0\].textured: The array is missing"):
        check_mesh(spec, {name: array for name, array in given.items() if name != "textured"})
    with pytest.raises(ProtocolError, match=r"positions: Got float32 \[6, 3\]; expected float32 \[7, 3\]"):
        check_mesh(spec, {**given, "positions": given["positions"][:6]})
    with pytest.raises(ProtocolError, match="positions: Got float64"):
        check_mesh(spec, {**given, "positions": given["positions"].astype(np.float64)})


@pytest.mark.slow
@pytest.mark.parametrize("piece", [1 << 20], indirect=True)
def test_a_large_mesh_costs_little_memory():
    count = 2_000_000
    given = {
        "positions": np.ones((count, 3), np.float32),
        "faces": np.zeros((count, 3), np.int32),
        "corner_normals": np.ones((count, 3, 3), np.float32),
    }
    given["positions"][-1] = 2, 5, 7
    given["positions"][-2] = 3, 1, 4
    given["faces"][-1] = count - 1, count - 2, 0
    digest = "a" * 64
    kinds = {"positions": DType.F32, "faces": DType.I32, "corner_normals": DType.F32}
    spec = MeshSpec(name="", **{name: ArrayRef(digest, kinds[name], given[name].shape) for name in given})
    tracemalloc.start()
    try:
        check_mesh(spec, given)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20
