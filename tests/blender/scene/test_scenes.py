# SPDX-License-Identifier: Apache-2.0
"""Scenes as artists have them are exported as they are seen, or refused in one sentence before anything is sent.

The table of all cases, with what came out before, is tests/cases/blender_scenes.md.
"""

import pytest

from tests.blender.blender_process import probe_script

pytestmark = [pytest.mark.blender, pytest.mark.slow]
PROBE, FAR = "probe_scenes.py", "probe_far.py"
CUBE = {"triangles": 12, "low": [-1.0, -1.0, -1.0], "high": [1.0, 1.0, 1.0]}
HIDDEN = {"triangles": 48, "low": [4.16, -0.84, -0.84], "high": [5.84, 0.84, 0.84]}
ONCE = {"triangles": 48, "low": [-0.84, -0.84, -0.84], "high": [0.84, 0.84, 0.84]}
TRIANGLE = {"triangles": 1, "vertices": 3, "low": [0.0, 0.0, 0.0], "high": [1.0, 1.0, 0.0]}
EXPORTED = {
    **{
        f"hidden: {how}": HIDDEN
        for how in ("eye", "screen", "collection eye", "collection screen", "excluded", "other scene")
    },
    "hidden and animated": {"triangles": 48, "low": [6.16, -0.84, -0.84], "high": [7.84, 0.84, 0.84]},
    "Multires": ONCE,
    "Multires in Sculpt Mode": ONCE,
    "Dyntopo": CUBE,
    **dict.fromkeys(("EDIT", "SCULPT", "VERTEX_PAINT", "WEIGHT_PAINT", "TEXTURE_PAINT"), CUBE),
    "viewport level": ONCE,
    "armature": {"triangles": 12, "low": [-1.0, -1.0, 6.0], "high": [1.0, 1.0, 8.0]},
    "shape key": {"triangles": 12, "low": [-1.0, -1.0, 2.0], "high": [1.0, 1.0, 4.0]},
    "nodes: UVs": {"triangles": 2, "uv map": "Made"},
    "nodes: UVs beside": {"triangles": 2, "uv map": "Artist"},
    "Boolean's material": {"triangles": 24, "textured": 18},
    "instancer": {"triangles": 2},
    "loose vertices": TRIANGLE,
    "loose NaN": TRIANGLE,
    "flat": {"triangles": 12, "high": [1.0, 1.0, 0.0]},
    "negative": CUBE,
    "tiny": {"triangles": 12},
    "sheared": {"triangles": 12},
    "long name": CUBE,
}
REAL, NO_BUTTON = "pgc.make_real", None
SAID = {
    "nodes: instances and a base": ("8 instances", REAL),
    "nodes: instances": ("8 instances", REAL),
    "nodes: hidden instances": ("8 instances", REAL),
    "nodes: primitive": ("lose its UV map UVMap", REAL),
    "nodes: material": ("materials of their own", REAL),
    "nodes: own material": ("materials of their own", REAL),
    "instancer, hidden": ("copies of its children", NO_BUTTON),
    "no faces": ("no faces", NO_BUTTON),
    "Build": ("at this frame", NO_BUTTON),
    "NaN": ("1 of 8 vertices", NO_BUTTON),
    "infinite": ("m long", NO_BUTTON),
    "NaN in UVs": ("1 of 12 triangles", "pgc.unwrap"),
    "huge UVs": ("1 of 12 triangles", "pgc.unwrap"),
    "scale 0": ("area", NO_BUTTON),
    "a line": ("area", NO_BUTTON),
    "huge": ("2e+12 m", NO_BUTTON),
}


@pytest.fixture(scope="module")
def exports(tmp_path_factory, blender):
    return blender.call(probe_script(PROBE), "exports", {}, work=tmp_path_factory.mktemp("blender"), limit=200)


def test_every_case_has_its_expectation(exports):
    assert set(exports) == set(EXPORTED) | set(SAID)


@pytest.mark.parametrize("name", EXPORTED)
def test_the_mesh_that_is_seen_is_exported(exports, name):
    facts = exports[name]
    expected = {"textured": EXPORTED[name]["triangles"], **EXPORTED[name]}
    assert {key: facts.get(key) for key in expected} == expected
    assert facts["facing"], "normals and windings agree"
    assert facts["same"], "the scene is as before"
    assert bool(facts["notes"]) == (facts["textured"] < facts["triangles"])


@pytest.mark.parametrize("name", SAID)
def test_what_cannot_be_textured_is_said(exports, name):
    words, fix = SAID[name]
    assert words in exports[name]["said"]
    assert exports[name]["said"].count(".") <= 2, "one sentence, and at most one more on what to do"
    assert exports[name]["fix"] == fix
    assert exports[name]["same"]


def test_the_offered_click_makes_it_work(run_in_blender):
    names = [name for name, (_, fix) in SAID.items() if fix]
    found = run_in_blender("offered_clicks", script=PROBE, cases=names)
    triangles = {name: 12 for name in names} | {"nodes: instances": 96}
    triangles |= dict.fromkeys(("nodes: instances and a base", "nodes: hidden instances"), 108)
    for name, facts in found.items():
        assert facts["fix"] == SAID[name][1], name
        # Instances share their UVs, and the primitive has none.
        unwrapped = "instances" in name or name == "nodes: primitive"
        assert facts["clicks"] == (["pgc.unwrap"] if unwrapped else []), name
        assert (facts["end"], facts["triangles"]) == ("finished", triangles[name]), name
        assert len(facts["shown"]) == 1, name
        assert facts["shown"][0].endswith(": red bricks"), name
        assert facts["kept"], "the artist's modifiers are as they were"
        assert facts["hidden"] is (True if facts["fix"] == REAL else None), name


def test_what_cannot_be_unwrapped_is_said(run_in_blender, tmp_path):
    found = run_in_blender("unwrap_refused", script=PROBE, folder=str(tmp_path))
    assert "linked from another file" in found["linked"][0]
    assert found["linked"][1] == "pgc.make_single_user"
    assert "Hidden is hidden; show it" in found["hidden"][0]
    assert "as many UV maps as a mesh can have" in found["full"][0]
    assert (found["hidden"][1], found["full"][1]) == (0, 8)


def test_make_real_mesh_is_one_undo_step(run_in_blender):
    assert run_in_blender("undone", script=PROBE) == {"same": True, "changed": True}


def test_what_shows_a_surface_and_is_no_mesh_has_a_button(run_in_blender):
    found = run_in_blender("no_meshes", script=PROBE)
    for name in ("text", "metaball", "instance"):
        facts = found[name]
        assert "make a real mesh" in facts["reason"], name
        assert facts["button"], name
        assert (facts["type"], facts["kept"], facts["problem"]) == ("MESH", True, False), name
        assert facts["faces"] > 0, name
        assert facts["place"] == [3.0, 0.0, 0.0], name
    assert not found["lamp"]["button"]
    assert "Select a mesh" in found["lamp"]["reason"]


def test_faces_that_keep_a_modifiers_material_are_said(run_in_blender):
    found = run_in_blender("partly_foreign", script=PROBE)
    assert found["note"] == "3 of 9 faces keep the materials that modifiers give them."
    assert found["textured"] == 18
    assert found["shown"] == ["Cube: red bricks", "Cutter's"]


@pytest.mark.parametrize("in_vertices", [False, True])
def test_a_wall_at_utm_coordinates_is_sent_as_one_at_the_origin(run_in_blender, in_vertices):
    found = run_in_blender("far_away", script=FAR, in_vertices=in_vertices)
    assert found["positions"] < 1e-5
    assert found["clip"] < 1e-5
    assert found["largest"] < 10
    assert found["uvs"]
    assert found["end"] == ["finished", "finished"]
    assert found["shown"] == ["Grid: red bricks"]


def test_a_rig_far_away_has_all_of_the_object_in_view(run_in_blender):
    found = run_in_blender("far_rig", script=FAR)
    assert found["widest"] < 1.0
    assert found["middle"] < 0.01


def test_a_camera_without_a_size_is_said(run_in_blender):
    found = run_in_blender("flat_camera", script=FAR)
    assert "scale of zero" in found["said"]
    assert found["sent"] == 0


def test_another_scene_and_a_read_only_file_do_no_harm(run_in_blender, tmp_path):
    found = run_in_blender("two_scenes", script=PROBE, folder=str(tmp_path))
    assert found == {"end": "finished", "shown": ["Shown: red bricks"], "packed": True}
