# SPDX-License-Identifier: Apache-2.0
"""A mask keeps the white parts of a texture: from the brush to the bytes of the result."""

import pytest

pytestmark = [pytest.mark.blender, pytest.mark.slow]
PROBE = "probe_keep_mask.py"


def test_a_job_gets_the_mask_and_what_it_keeps(run_in_blender):
    assert run_in_blender("job", script=PROBE) == {
        "mask": True,
        "picture": True,
        "tiles": [1001, 1001],
        "size": [32, 32],
        "all there": True,
        "black": [0, 0, 256],
    }


def test_the_mask_can_say_what_changes(run_in_blender):
    found = run_in_blender("change", script=PROBE)
    assert found["mask"]
    assert "black all over, so nothing would change; paint white where" in found["black"]
    assert found["white"][0] == 0
    assert "white all over, so nothing of its texture is kept" in found["white"][1]


def test_the_next_texture_can_start_from_what_is_shown(run_in_blender):
    found = run_in_blender("start", script=PROBE)
    assert "shows no texture to start from" in found["nothing"]
    assert found["sent"] == [0, 0.25, 32], "no mask, the strength, and the picture's size"
    assert found["picture"]
    assert found["warning"] == ""
    assert found["masked"] == [1, 1, 0.25]
    assert found["off"] is None


def test_the_whole_mask_changes_at_a_click_and_undo_takes_it_back(run_in_blender):
    """The mask is white where u < 1/2 and v > 1/4; the one face has u and v below 1/2."""
    found = run_in_blender("edits", script=PROBE)
    assert "No face of Shown is selected" in found["no faces"]
    assert found["INVERT"] == [1, 1, 0, 0]
    assert found["CLEAR"] == [0, 0, 0, 0]
    assert found["FILL"] == [1, 1, 1, 1]
    assert found["FACES"] == [1, 0, 1, 1]
    assert all(
        found[f"{action} {way}"] for action in ("INVERT", "CLEAR", "FILL", "FACES") for way in ("undone", "redone")
    )
    assert found["painting"] == [True, True, True], "blue, and canvas and overlay are the new mask"


def test_a_mask_from_what_the_mesh_has(run_in_blender):
    found = run_in_blender("mesh_masks", script=PROBE)
    assert "has no vertex group; make one" in found["no group"]
    assert "has a weight in the group Right" in found["no weight"]
    assert found["group"] <= 0.01, "weights of 0 to a half run over the face"
    assert (found["slot"], found["up"]) == (1.0, 1.0)
    assert "faces up" in found["sideways"]
    assert found["height"][0] < 0.02
    assert found["height"][1] > 0.98
    assert "no edges that stick out" in found["flat"][0]
    assert "no edges that lie inside" in found["flat"][1]
    brightest, pixels = found["cube"]
    assert brightest > 0.7
    assert 6 * 64 * 4 < pixels < 6 * 64 * 4 * 4, "two or three rows of pixels along each border"
    assert found["mirrored"], "a mirrored object's faces are seen from behind"
    outside, inside, up = found["inwards"]
    assert (outside, up) == ("", "")
    assert "normals of Cube point inwards" in inside
    assert "is in Edit Mode" in found["editing"]
    assert "Nothing of it lies in the mask" in found["elsewhere"]
    assert "The UVs repeat" in found["repeating"]
    assert found["sizes"] == [12 * 6, 10 * 4, 8 * 2]


def test_the_artists_own_texture_can_be_kept(run_in_blender):
    assert run_in_blender("own_material", script=PROBE) == [[16, 16, 3], [[51, 102, 153]]]


def test_pictures_of_more_bits_are_kept_in_their_colours(run_in_blender):
    deep = "{} has more than 8 bits a channel".format
    assert run_in_blender("deep_pictures", script=PROBE) == {
        "bytes": [[128, 51, 0], []],
        "float": [[128, 51, 0], [deep("float")]],
        "data": [[128, 51, 0], [deep("data")]],
        "bright": [[255, 0, 0], [deep("bright"), "bright has colors outside of 0 to 1"]],
        "alpha": [[128, 51, 0], ["alpha has alpha"]],
    }


def test_what_cannot_be_kept_is_said(run_in_blender):
    found = run_in_blender("refusals", script=PROBE)
    assert "shows no texture" in found["nothing"][0]
    assert "choose that one" in found["uv map"][0]
    assert "one UV tile" in found["tiles"][0]
    assert "white all over" in found["white"][0]
    assert "48 x 32" in found["odd"][0]
    assert found["sent"] == 1, "the first, without a mask"
    assert found["several"] == ["", ""], "of several objects, masks do not count"


def test_a_mask_is_painted_and_saved(run_in_blender, tmp_path):
    assert run_in_blender("painting", script=PROBE, folder=str(tmp_path)) == {
        "poll before": [True, False],
        "new": [[64, 64], True, "Non-Color", "TEXTURE_PAINT", "IMAGE", True],
        "colors": [[1, 1, 1], [0, 0, 0]],
        "colors then": [[1, 0, 0], [0, 0, 1]],
        "tint": [["PGC Mask"], ["Shown mask", "Shown: red bricks base_color"]],
        "after undo": ["TEXTURE_PAINT", ["PGC Mask"]],
        "done": ["OBJECT", "MATERIAL", True, ["Shown: red bricks"]],
        "again": ["TEXTURE_PAINT", "IMAGE", True],
        "left": ["Shown: red bricks"],
        "in the end": ["OBJECT", "MATERIAL", True],
        "at save": ["Shown: red bricks"],
        "after save": ["PGC Mask"],
        "in file": [["Shown: red bricks"], []],
        "saved": True,
    }


def test_what_else_may_happen_while_a_mask_is_painted(run_in_blender):
    second = "Shown: red bricks.001"
    assert run_in_blender("while_painting", script=PROBE) == {
        "preview": ["PGC Mask"],
        "sent": 1,
        "held": ["held", ["PGC Mask"]],
        "then": ["finished", [second], 2],
        "no mask": ["TEXTURE_PAINT", [second], False],
        "shared": [["PGC Mask"], [second]],
        "shared then": [[second], [second]],
        "no UVs": "TEXTURE_PAINT",
    }


def test_a_server_keeps_what_is_white(run_in_blender, connection):
    found = run_in_blender("on_a_server", script=PROBE, limit=380, connection=str(connection))
    assert found["kept"], "texel by texel"
    assert found["changed"] > 0.9
