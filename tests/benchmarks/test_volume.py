# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
import trimesh

from tests.benchmarks.shape import CONDITIONS
from tests.benchmarks.volume import PROMPTS, VolumeBenchmark, likeness, oracle_row
from tests.benchmarks.volume_tables import imagined, volumes

SMALL = VolumeBenchmark(steps=10, views=1, resolution=16)


@pytest.mark.slow
def test_a_small_case_comes_nearer_and_is_told_in_the_table():
    row = oracle_row(SMALL, "vase", "no noise, clipped", 0)
    assert row["watertight"]
    assert row["after"]["chamfer"] < row["before"]["chamfer"]
    text = volumes({"volume": {"rows": [{**row, "condition": one} for one in CONDITIONS]}}.__getitem__)
    assert f"| vase | 1 | {row['before']['chamfer']:.3f}, " in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "name"),
    [
        (trimesh.creation.box((3.0, 3.0, 3.0)), "cube"),
        (trimesh.creation.torus(2.0, 0.7), "torus"),
    ],
)
def test_a_mesh_is_likest_to_its_own_kind(tmp_path: Path, made: trimesh.Trimesh, name: str):
    # trimesh's axes are glTF's: Y is up there, and shapes lie on their sides.
    turned = trimesh.transformations.rotation_matrix(-1.5707963, (1.0, 0.0, 0.0))
    made.copy().apply_transform(turned).export(tmp_path / "mesh.glb")
    scores = likeness(tmp_path / "mesh.glb")
    assert max(scores, key=scores.__getitem__) == name
    assert scores[name] > 0.8


def test_prompts_and_verdicts_are_told_with_failures_in_bold():
    prompt, color, material = PROMPTS[0]
    row = {
        "prompt": prompt,
        "asked": {"shape": "vase", "color": color, "material": material},
        "judge": {"color": "red", "material": "rust"},
        "shapes": {"word": {"nearest": "vase"}, "ball": {"nearest": "sphere"}},
        "processor_seconds": {"volume": 60.0, "texture": 60.0},
    }
    text = imagined({"volume": {"prompts": [row]}}.__getitem__)
    assert "| a red vase | red | **rust** | vase | **sphere** | 2.0 |" in text
    assert "| right | 1 of 1 | 0 of 1 | 1 of 1 | 0 of 1 | 2.0 |" in text
