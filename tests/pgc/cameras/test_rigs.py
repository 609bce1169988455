# SPDX-License-Identifier: Apache-2.0
import json
import math

import numpy as np
import pytest

from pgc.cameras import Camera
from pgc.cameras.rigs import CameraRig, fibonacci_directions
from pgc.errors import CameraError


def directions(rig: CameraRig) -> np.ndarray:
    positions = np.stack([camera.position for camera in rig.cameras]).astype(np.float64)
    return positions / np.linalg.norm(positions, axis=1, keepdims=True)


def test_a_ring_starts_in_front_and_goes_around():
    rig = CameraRig.ring(4, elevation=0.0, distance=2.0)
    positions = np.stack([camera.position for camera in rig.cameras])
    assert positions == pytest.approx(np.array([[0, -2, 0], [2, 0, 0], [0, 2, 0], [-2, 0, 0]]), abs=1e-6)


def test_a_staggered_ring_alternates_its_elevation():
    elevations = np.arcsin(directions(CameraRig.staggered_ring(6, elevations=(0.5, -0.2)))[:, 2])
    assert elevations == pytest.approx([0.5, -0.2] * 3, abs=1e-6)


def test_spheres_cover_and_hemispheres_stay_above():
    sphere, hemisphere = directions(CameraRig.sphere(40)), directions(CameraRig.hemisphere(40))
    assert np.abs(sphere.mean(axis=0)).max() < 0.05
    assert hemisphere[:, 2].min() > 0
    assert hemisphere[:, 2].max() > 0.95
    anywhere = np.random.default_rng(0).normal(size=(2000, 3))
    anywhere /= np.linalg.norm(anywhere, axis=1, keepdims=True)
    # No direction is further than 30 degrees from a camera (40 caps of 18.4 degrees would tile the sphere exactly).
    assert (anywhere @ sphere.T).max(axis=1).min() > math.cos(math.radians(30))
    assert fibonacci_directions(0).shape == (0, 3)


@pytest.mark.parametrize("make", [CameraRig.ring, CameraRig.staggered_ring, CameraRig.hemisphere, CameraRig.sphere])
def test_rigs_need_a_camera_and_a_distance(make):
    assert len(make(1)) == 1
    with pytest.raises(CameraError, match="at least 1"):
        make(0)
    with pytest.raises(CameraError, match="distance"):
        make(3, distance=0.0)


def test_an_empty_rig_is_refused():
    with pytest.raises(CameraError, match="without cameras"):
        CameraRig(())


def test_a_rig_from_a_file(tmp_path):
    source = Camera.look_at((1.0, 1.0, 1.0), focal=0.8, aspect=1.5)
    entries = [
        {"eye": [0, -2, 0.5], "fov_y_deg": 40},
        {"eye": [0, -2, 0], "target": [0, 0, 0.1], "up": [1, 0, 0], "focal": 1.2, "aspect": 2},
        {"eye": [0, 0, 3], "height": 2},
        {
            "world_to_camera": source.world_to_camera.astype(float).tolist(),
            "projection": source.projection.astype(float).tolist(),
            "aspect": 1.5,
        },
    ]
    path = tmp_path / "rig.json"
    path.write_text(json.dumps({"cameras": entries}))
    cameras = CameraRig.from_file(path).cameras
    expected = [
        Camera.look_at((0, -2, 0.5), fov_y=math.radians(40)),
        Camera.look_at((0, -2, 0), (0, 0, 0.1), (1, 0, 0), focal=1.2, aspect=2.0),
        Camera.orthographic((0, 0, 3), height=2.0),
        source,
    ]
    assert [camera.key() for camera in cameras] == [camera.key() for camera in expected]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Cannot read cameras"),
        ("[]", "expected"),
        ('{"cameras": []}', "1 to"),
        ('{"cameras": [7]}', "camera 0: got int"),
        ('{"cameras": [{"eye": [0, 1, 0], "focal": 1}, {"eye": [0, 1], "focal": 1}]}', "camera 1: got .*three numbers"),
        ('{"cameras": [{"eye": [0, 1, "2"], "focal": 1}]}', "finite number"),
        ('{"cameras": [{"eye": [0, 1, NaN], "focal": 1}]}', "finite number"),
        ('{"cameras": [{"eye": [0, 1, 0], "focal": true}]}', "finite number"),
        ('{"cameras": [{"eye": [0, 1, 0]}]}', "exactly one"),
        ('{"cameras": [{"eye": [0, 1, 0], "focal": 1, "lens": 35}]}', "unknown keys"),
        ('{"cameras": [{"eye": [0, 0, 0], "focal": 1}]}', "camera 0: .*different finite points"),
        ('{"cameras": [{"world_to_camera": [[1]], "projection": 1}]}', "four rows"),
    ],
)
def test_bad_files_get_one_clear_sentence(tmp_path, text, words):
    path = tmp_path / "rig.json"
    path.write_text(text)
    with pytest.raises(CameraError, match=words) as caught:
        CameraRig.from_file(path)
    assert "rig.json" in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CameraError, match=r"none\.json"):
        CameraRig.from_file(tmp_path / "none.json")
