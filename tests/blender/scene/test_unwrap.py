# SPDX-License-Identifier: Apache-2.0
"""New UV Map by xatlas: the server's UVs become a map of their own, or nothing changes and a sentence says why."""

import pytest

PROBE = "probe_unwrap.py"

pytestmark = pytest.mark.blender


@pytest.mark.slow
def test_the_uvs_become_a_new_map_by_loop_and_one_undo_step(run_in_blender):
    found = run_in_blender("lands", script=PROBE)
    assert set(found) == {"None", "tiling", "partial", "point", "n-gons"}
    for name, row in found.items():
        own = [] if name == "None" else ["UVMap"]
        assert row["clicked"] == ["FINISHED"], name
        assert row["spec"][0] == ["corner_uvs"]
        assert row["spec"][1].endswith(" (new UV map)")
        assert row["spec"][2] == ["faces", "polygon_index", "positions"]
        assert (row["layers meanwhile"], row["noted"]) == (own, 0), "nothing changes before the UVs are there"
        assert (row["phase"], row["layers"], row["active"]) == ("finished", [*own, "PGC"], "PGC"), row["note"]
        assert row["own kept"], name
        assert row["by loop"] == (name != "partial"), name
        assert (row["undone"], row["redone"]) == (own, [*own, "PGC"]), name
        assert row["timings"] == 0, "no texture was made"
    assert found["partial"]["others kept"], "faces with UVs keep theirs, bit for bit"
    assert found["partial"]["filled"]
    assert found["n-gons"]["extent"] == pytest.approx([2.0, 4.0, 2.0], abs=0.1), "in the object's proportions"


@pytest.mark.slow
def test_a_mesh_that_was_changed_meanwhile_is_left_as_it_is(run_in_blender):
    found = run_in_blender("changed", script=PROBE)
    for name in ("moved", "subdivided", "a face turned over", "its UVs changed", "its UV map removed"):
        row = found[name]
        assert (row["phase"], row["fix"]) == ("failed", "pgc.unwrap_on_server"), name
        assert row["text"] == "Crate was changed while its new UVs were made, so that they do not fit; make them again."
        assert row["layers"] == ([] if name == "its UV map removed" else ["UVMap"]), name
    assert found["gone"]["phase"] == "failed"
    assert found["gone"]["text"] == "Crate is gone, so that its new UVs have no place."
    kept = found["renamed, hidden and moved"]
    assert (kept["phase"], kept["layers"]) == ("finished", ["UVMap", "PGC"]), "that is no change of the mesh"


@pytest.mark.slow
def test_what_cannot_be_is_said_in_a_sentence(run_in_blender):
    found = run_in_blender("refusals", script=PROBE)
    sentence = "The server cannot make UVs: it lacks xatlas, or is of an older version."
    (said,), fix, sent = found["lacks xatlas"]
    assert said.startswith(sentence)
    assert (fix, sent) == ("pgc.unwrap", 0)
    assert found["edit mode"] is False
    assert found["no faces"] == ["Crate has no faces, so there is nothing to unwrap."]
    phase, text, fix, label = found["refused 0"]
    assert (phase, fix, label) == ("failed", "pgc.unwrap", "Smart UV Project")
    assert text.startswith(sentence)
    assert found["refused 1"][1:] == ["Crate: none of its triangles has an area.", "pgc.unwrap", "Smart UV Project"]
    assert found["refused 2"][2] == "pgc.unwrap"
    assert found["refused 3"][2] == "pgc.open_server_log"
    assert found["short"] == ["failed", "The server sent UVs that are damaged; make them again.", 1]
    assert found["nan"] == found["short"]
    assert found["other"] == ["failed", "The server sent something else than UVs; make them again.", 1]
    phase, text, layers = found["full"]
    assert (phase, layers) == ("failed", 8)
    assert text.endswith(" has as many UV maps as a mesh can have; remove one first.")


@pytest.mark.slow
def test_progress_cancel_and_modes_in_which_the_uvs_wait(run_in_blender):
    found = run_in_blender("meanwhile", script=PROBE)
    assert found["sending"] == "Sending the Mesh"
    assert found["queued"] == "Waiting Behind 2 More"
    assert found["takes"] == [
        12,
        "",
        "",
        "xatlas takes about 21 s for 49,284 triangles. Blender goes on meanwhile.",
        "xatlas takes about 3 min for 400,000 triangles. Blender goes on meanwhile.",
        [True, True, True, False, False],
        "",
    ]
    # Which way needs no server is said while it waits there, and only then.
    sending, queued, running = found["waits for"]
    assert queued == "The server does one job at a time. Cancel, and New UV Map makes UVs in Blender at once."
    assert (sending, running) == ("", "")
    assert found["running"] == ["Making UVs", 0.4, False]
    assert found["away"] == "Waiting for the Server"
    assert (found["generate meanwhile"], found["again meanwhile"], found["generate after it"]) == (False, False, True)
    assert found["cancelled"] == ["cancelled", "Cancelled.", ["job-uv"]]
    assert found["late"] == ["cancelled", 1]
    assert found["in edit mode"] == ["held", "The new UVs of Crate are ready. Go to Object Mode to get them.", 1]
    assert found["left"] == ["finished", ["UVMap", "PGC"]]
    assert found["recent"] == ["j0"]
