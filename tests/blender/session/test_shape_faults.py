# SPDX-License-Identifier: Apache-2.0
"""Refine Shape and New Object by Prompt in scenes, files and with servers that are not as one would wish."""

import pytest

PROBE = "probe_shape_faults.py"


@pytest.mark.blender
@pytest.mark.slow
class TestInBlender:
    def test_a_shape_has_the_size_that_it_has_in_the_world(self, run_in_blender):
        found = run_in_blender("placed", script=PROBE)
        assert max(found["sheared"]) < 1e-5
        assert found["scale"][0] < 1e-5
        assert found["rotation"][0] < 1e-5
        assert found["scale"][1]
        assert found["rotation"][1], "seen from outside, though the mirror is in the mesh by now"
        assert found["steps"] == pytest.approx([3.2, 6.4])

    def test_linked_collections_old_colors_and_broken_meshes(self, run_in_blender):
        found = run_in_blender("linked", script=PROBE)
        assert found["linked"] == ["finished", ["Scene Collection"]]
        assert found["colors"] == {"PGC Shape": 0.1}
        assert found["uvs"] <= 1e6
        text, sent = found["nan"]
        assert "vertices of Far have no finite place" in text
        assert sent == 0
