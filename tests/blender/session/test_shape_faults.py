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
        assert found["flat"] == "finished", "a place of no volume has no way back to the mesh's own axes"
        assert found["steps"] == pytest.approx([3.2, 6.4])

    def test_linked_collections_old_colors_and_broken_meshes(self, run_in_blender):
        found = run_in_blender("linked", script=PROBE)
        assert found["linked"] == ["finished", ["Scene Collection"]]
        assert found["stray"] == [False, False], "an object of no collection nobody finds"
        assert found["colors"] == {"PGC Shape": 0.1}
        assert found["uvs"] <= 1e6
        text, sent = found["nan"]
        assert "vertices of Far have no finite place" in text
        assert sent == 0

    def test_a_new_object_is_found_again_after_its_file_was_closed(self, run_in_blender, tmp_path):
        found = run_in_blender("closed", script=PROBE, folder=str(tmp_path))
        assert found["noted"] == ["job-1"]
        assert found["opened"] == [True, True, ["job-1"], []]
        assert found["came"] == ["finished", True, []]
        assert found["recent"] == ["far-Shown (new shape)", "far-a red vase (new shape)"]
        assert found["a red vase (new shape)"] == ["finished", "a red vase.001 stands at the 3D cursor."]
        assert found["Shown (new shape)"] == ["finished", "Shown.001 stands at the 3D cursor."]
        assert found["reverted"] == [False, ["job-9"]], "no file knows of it"

    def test_no_failure_hides_another(self, run_in_blender):
        found = run_in_blender("told", script=PROBE)
        assert found["one"] == 1
        assert found["both"] == [2, "pgc.imagine"]
        assert found["other"] == 1
        text, operator = found["old server"]
        assert "makes no shapes" in text
        assert operator == "pgc.copy_install_command"

    def test_an_older_version_is_made_again_without_the_panels_lora(self, run_in_blender, tmp_path):
        generated, again, model = run_in_blender("regenerated", script=PROBE, folder=str(tmp_path))
        assert len(generated) == 1
        assert again == []
        assert model == "sd15"
