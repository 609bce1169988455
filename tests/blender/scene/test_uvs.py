# SPDX-License-Identifier: Apache-2.0
"""UVs that cannot carry a texture are said in the panel before anything is spent, with what helps."""

import pytest

PROBE = "probe_uvs.py"

pytestmark = pytest.mark.blender


@pytest.mark.slow
def test_the_panel_says_what_is_wrong_and_a_new_map_mends_it(run_in_blender):
    found = run_in_blender("offers", script=PROBE)
    buttons = ["pgc.unwrap", "pgc.unwrap_on_server", "pgc.texture_anyway", "pgc.show_texel_density"]
    assert found["None"]["drawn"] == ["The mesh has no UVs", "pgc.unwrap", "pgc.unwrap_on_server"]
    assert found["tiling"]["drawn"] == ["UVs repeat over the surface", *buttons]
    assert found["partial"]["drawn"] == ["Some faces have no UVs", *buttons]
    assert found["point"]["drawn"] == ["The mesh has no UVs", *buttons]
    assert found["good"]["drawn"] == []
    assert found["good"]["clicked"] == ["FINISHED"]
    assert "Choose New UV Map, or Texture Anyway." in found["tiling"]["problem"]
    for name in ("None", "tiling", "partial", "point"):
        row = found[name]
        assert row["clicked"] == ["CANCELLED"], "nothing is spent"
        assert row["maps"] == (["PGC"] if name == "None" else ["UVMap", "PGC"])
        assert row["active"] == "PGC"
        assert row["own kept"]
        assert (row["verdict"], row["without"], row["after"], row["mode"]) == ("good", 0, [], "OBJECT")
        assert row["shared"] < 0.005
        assert row["again"] == ["FINISHED"]
    assert found["partial"]["others kept"], "faces with UVs keep theirs, bit for bit"
    assert found["sent"] == 5


@pytest.mark.slow
def test_a_new_map_is_made_for_one_object_and_also_where_that_cannot_enter_edit_mode(run_in_blender):
    found = run_in_blender("unusual_objects", script=PROBE)
    assert (found.pop("left"), found.pop("problem")) == ([], "")
    assert len(found) == 8 * 2
    for name in ("hidden", "viewport"):
        for row in (found.pop(f"{name}, tiling"), found.pop(f"{name}, partial")):
            assert (row["answer"], row["maps"]) == (["Error: Crate is hidden; show it, then unwrap it.\n"], ["UVMap"])
    for name, row in found.items():
        assert (name, row["answer"], row["maps"]) == (name, ["FINISHED"], ["UVMap", "PGC"])
        assert (name, row["verdict"], row["without"]) == (name, "good", 0)
        assert row["same"], f"{name}: mode, active object and selection are as before"
        assert row["other"], f"{name}: what is selected beside it keeps its UVs"
    assert found["shape keys, tiling"]["moved"] == 0.0


@pytest.mark.slow
def test_texture_anyway_is_remembered_and_a_changed_mesh_is_looked_at_again(run_in_blender):
    found = run_in_blender("anyway", script=PROBE)
    assert (found["before"], found["anyway"], found["sent"]) == (["CANCELLED"], ["FINISHED"], 1)
    assert found["drawn"] == []
    assert found["known"]
    assert found["forgotten"]
    assert found["idle"] == [True, False], "once for each change"
    assert not found["big"], "big meshes wait until a texture is asked for"
    assert found["after the end"] == 0


@pytest.mark.slow
def test_slots_are_judged_alone(run_in_blender):
    found = run_in_blender("slots", script=PROBE)
    assert found["whole"] == ["CANCELLED"]
    assert found["slot 0"] == [["FINISHED"], []]
    assert found["slot 1"] == [["FINISHED"], []]
    assert found["copies"] == [
        [["FINISHED"], []],
        [["FINISHED"], []],
        [["CANCELLED"], ["UVs of different parts overlap"]],
        [["FINISHED"], []],
    ]


@pytest.mark.slow
def test_the_texel_density_is_one_image(run_in_blender):
    found = run_in_blender("picture", script=PROBE)
    assert found["sizes"] == [1, 1]
    assert found["red"] == pytest.approx(214 / 255, abs=0.01)
    assert found["least"] > 0.1
