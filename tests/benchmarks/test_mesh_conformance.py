# SPDX-License-Identifier: Apache-2.0
import base64
import json

import numpy as np
import pytest

from tests.benchmarks.mesh_conformance import Polygons, compare, unmatched
from tests.pgc.export.test_glb import png
from tests.pgc.mesh.formats.gltf.builder import Builder


def polygons(move=0.0, uv=0.0, turn=0):
    """Two quads, one far from the other."""
    square = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], float)
    corners = np.concatenate([np.roll(square, turn, axis=0), np.roll(square + np.array([5, 0, 0]), turn, axis=0)])
    corners[0] += move
    uvs = np.concatenate([np.roll(square[:, :2], turn, axis=0)] * 2) + uv
    return Polygons(corners, uvs, np.array([4, 4], np.int32))


@pytest.mark.parametrize("turn", [0, 1, 3])
def test_polygons_are_the_same_wherever_they_begin(turn):
    assert unmatched(polygons(), polygons(turn=turn), 4, 1e-5) == (0, 0.0, 0.0)


def test_a_moved_corner_a_moved_uv_and_missing_uvs_are_seen():
    assert unmatched(polygons(), polygons(move=1e-3), 4, 1e-5)[0] == 1
    assert unmatched(polygons(), polygons(uv=1e-3), 4, 1e-5)[2] == pytest.approx(1e-3)
    assert unmatched(polygons(), polygons(uv=np.nan), 4, 1e-5)[2] == 1.0


def test_a_turned_polygon_is_another():
    turned = polygons()
    turned.corners[:4] = turned.corners[3::-1].copy()
    assert unmatched(polygons(), turned, 4, 1e-5)[0] == 1


@pytest.mark.blender
@pytest.mark.slow
def test_a_file_is_the_same_in_blender(tmp_path):
    builder = Builder()
    path = tmp_path / "square.glb"
    path.write_bytes(builder.shown(builder.square(), translation=[1, 2, 3], scale=[1, -1, 2]).glb())
    line = compare(path)
    assert line["same"], json.dumps(line)


def skeleton():
    """A posed chain of three joints under a turned node, with a morph target, under two UV sets; and a strip."""
    rng = np.random.default_rng(4)
    # Blender takes the last of a joint that a vertex names twice, where the specification's sum has both.
    joints = np.array([(0, 1, 2, 0), (2, 1, 0, 0), (1, 2, 0, 0), (2, 0, 1, 0)], np.uint8)
    weights = rng.random((4, 4)).astype(np.float32) * np.float32([1, 1, 1, 0])
    weights /= weights.sum(axis=1, keepdims=True)
    builder = Builder()
    builder.json["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0, "texCoord": 1}}}]
    picture = base64.b64encode(png()).decode()
    builder.json["images"] = [{"uri": f"data:image/png;base64,{picture}"}]
    builder.json["textures"] = [{"source": 0}]
    more = {"JOINTS_0": builder.accessor(joints), "WEIGHTS_0": builder.accessor(weights)}
    more["TEXCOORD_1"] = builder.accessor(rng.random((4, 2)).astype(np.float32))
    lift = builder.accessor(np.tile(np.float32([0, 0, 1]), (4, 1)))
    part = builder.square(**more) | {"targets": [{"POSITION": lift}], "material": 0}
    last = builder.node(root=False, translation=[0.5, 0, 0], rotation=[0, 0.6, 0, 0.8])
    middle = builder.node(root=False, translation=[0.5, 0, 0], rotation=[0, 0, 0.6, 0.8], children=[last])
    first = builder.node(root=False, scale=[2, 2, 2], children=[middle])
    builder.node(rotation=[0.6, 0, 0, 0.8], translation=[1, 2, 3], children=[first])
    bind = np.tile(np.eye(4, dtype=np.float32), (3, 1, 1))
    bind[1, 0, 3], bind[2, 0, 3] = -0.5, -1.0
    flat = np.ascontiguousarray(bind.transpose(0, 2, 1).reshape(3, 16))
    builder.json["skins"] = [{"joints": [first, middle, last], "inverseBindMatrices": builder.accessor(flat)}]
    builder.node(mesh=builder.mesh(part, weights=[0.25]), skin=0, translation=[9, 9, 9])
    strip = {"attributes": {"POSITION": builder.accessor(rng.random((7, 3)).astype(np.float32))}, "mode": 5}
    return builder.shown(strip, scale=[1, -2, 3])


@pytest.mark.blender
@pytest.mark.slow
def test_a_posed_skeleton_is_the_same_in_blender(tmp_path):
    path = tmp_path / "skeleton.glb"
    path.write_bytes(skeleton().glb())
    line = compare(path)
    assert line["same"], json.dumps(line)
