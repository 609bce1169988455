# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from tests.benchmarks.mesh_conformance import Polygons, compare, unmatched
from tests.pgc.gltf_reading.builder import Builder


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
