# SPDX-License-Identifier: Apache-2.0
"""The Khronos glTF validator has nothing to say about our GLB files. Needs node and its package gltf-validator."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pgc.export.glb import write_glb
from pgc.images.maps import encode_png
from pgc.mesh import prepare_mesh
from pgc.texture.field import to_uint8_values
from tests.pgc.export.awkward import AWKWARD, material
from tests.pgc.export.test_glb_sets import colored, with_sets
from tests.pgc.export.test_names import named

SCRIPT = Path(__file__).with_name("validate_gltf.cjs")


@pytest.fixture(scope="module")
def validate():
    """`validate(path)`: the validator's report of a file."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here")

    def run(*paths):
        done = subprocess.run([node, SCRIPT, *paths], capture_output=True, text=True, timeout=100, check=False)
        if done.returncode == 3:
            pytest.skip("node has no gltf-validator (npm install --prefix .venv gltf-validator)")
        assert done.returncode in (0, 1), done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    run()
    return run


def glb_images(tiles, *maps):
    """PNG bytes by name and tile; `orm` is made of noise."""
    texture = material(tiles)
    values = {**texture.maps, "orm": texture.maps["base_color"]}
    return {
        f"{name}.{tile}": encode_png(to_uint8_values(values[name][number]))
        for name in maps
        for number, tile in enumerate(tiles)
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("maps", [(), ("base_color",), ("base_color", "orm", "normal")], ids=len)
def test_no_error_and_no_warning(tmp_path, validate, name, maps):
    prepared = prepare_mesh(AWKWARD[name])
    write_glb(tmp_path / "out.glb", prepared, glb_images(prepared.report.tiles, *maps))
    (report,) = validate(tmp_path / "out.glb")
    serious = [message for message in report["messages"] if message["severity"] < 2]
    assert serious == []
    told = {message["code"] for message in report["messages"]} - {"ACCESSOR_INDEX_TRIANGLE_DEGENERATE"}
    # UVs that nothing reads are a note of severity "information": without maps there is no reader.
    assert told <= (set() if maps else {"UNUSED_OBJECT"})


@pytest.mark.slow
def test_sets_colours_and_far_places_are_valid(tmp_path, validate):
    mesh = colored(with_sets(2, (0, 4), tiles=2))
    far = replace(mesh, positions=mesh.positions + np.array([448262.1, 5411932.2, 100.0]))
    prepared = prepare_mesh(far, uvs="keep")
    write_glb(tmp_path / "out.glb", prepared, glb_images(prepared.report.tiles, "base_color", "orm", "normal"))
    (report,) = validate(tmp_path / "out.glb")
    # Sets that no material reads are a note of severity "information".
    assert {message["code"] for message in report["messages"]} <= {"UNUSED_OBJECT"}


@pytest.mark.slow
def test_the_validator_sees_what_is_wrong(tmp_path, validate, monkeypatch):
    """Otherwise the tests above would show nothing."""
    monkeypatch.setattr("pgc.export.glb._frames", lambda triangles: np.zeros((len(triangles.faces), 3, 4), np.float32))
    write_glb(tmp_path / "out.glb", prepare_mesh(AWKWARD["plain"]), glb_images((1001,), "base_color", "normal"))
    (report,) = validate(tmp_path / "out.glb")
    assert report["errors"] > 0
    assert {message["code"] for message in report["messages"]} & {"ACCESSOR_VECTOR3_NON_UNIT", "ACCESSOR_INVALID_SIGN"}


@pytest.mark.slow
@pytest.mark.parametrize("far", [0.0, 448262.0])
def test_parts_and_materials_are_valid(tmp_path, validate, far):
    mesh = named([0, 1, 2], ("Body", "", "Wheel"), [0, 1], ("Oak", "Brass"), tiles=2)
    prepared = prepare_mesh(replace(mesh, positions=mesh.positions + far), uvs="keep")
    write_glb(tmp_path / "out.glb", prepared, glb_images(prepared.report.tiles, "base_color", "orm", "normal"))
    (report,) = validate(tmp_path / "out.glb")
    assert [message for message in report["messages"] if message["severity"] < 2] == []
