# SPDX-License-Identifier: Apache-2.0
"""From the click to what Cycles sees: known functions of UV and position, and mistakes on purpose that must be seen."""

import pytest

pytestmark = [pytest.mark.blender, pytest.mark.slow]
PROBE = "probe_truth.py"
SEEN = 0.012
"""Bytes are rounded by 0.002, and texels lie a little beside pixels."""
MAPS = {"base_color", "roughness", "metallic", "normal", "occlusion"}


def _wrong(found) -> set[str]:
    return {name for name, difference in found["seen"].items() if difference > SEEN}


def test_every_map_is_where_it_belongs(run_in_blender, tmp_path):
    found = run_in_blender("truth", own_process=True, script=PROBE, plant="", folder=str(tmp_path))
    assert set(found["seen"]) == set(found["read back"]) == MAPS
    assert _wrong(found) == set(), found
    assert max(found["read back"].values()) < 1e-6, "the very bytes"


@pytest.mark.parametrize(
    ("plant", "wrong"),
    [
        # What depends on UVs alone is the same wherever the faces lie in them.
        ("flip V", {"base_color", "occlusion"}),
        ("flip rows", MAPS),
        ("drop the pack", MAPS),
        ("late color space", MAPS),
        ("no color space", MAPS - {"base_color"}),
        ("wrong slot", MAPS),
        ("wrong UV map", MAPS),
        ("swapped maps", {"roughness", "metallic"}),
        ("cleared materials", MAPS),
    ],
)
def test_a_planted_mistake_is_seen(run_in_blender, tmp_path, plant, wrong):
    found = run_in_blender("truth", own_process=True, script=PROBE, plant=plant, folder=str(tmp_path))
    assert _wrong(found) == wrong, found
    assert max(found["seen"].values()) > 10 * SEEN, "and plainly"
    packed = plant not in {"drop the pack", "late color space", "flip rows"}
    assert (max(found["read back"].values()) < 1e-6) == packed
