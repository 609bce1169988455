# SPDX-License-Identifier: Apache-2.0
"""Several textures of one object at once, and telling their versions apart."""

import numpy as np
import pytest

from blender_addon.scene.pictures.portrait import PortraitMesh, draw_portrait

PROBE = "probe_queue.py"


@pytest.mark.blender
@pytest.mark.slow
class TestInBlender:
    def test_variations_share_a_mesh_and_wait_for_a_click(self, run_in_blender):
        found = run_in_blender("variations", script=PROBE)
        last = (1 << 31) - 1
        assert found["seeds"] == [last - 1, last, 0, 1]
        assert (found["keys"], found["one mesh"], found["same but the seed"], found["next"]) == (4, True, 1, 2)
        assert found["preview of one that waits"] == ["Mine"]
        count, shown, active, note = found["waits"]
        assert (count, shown, active) == (1, ["Mine"], -1)
        assert "click it to see it" in note
        assert found["preview of the first"] == ["PGC Preview"]
        assert found["shown"] == [[last, last - 1], 1]
        assert found["clicked"]
        assert found["noted"] == [True, True]
        assert found["cancelled"] == ["finished", "finished", "cancelled", "cancelled"]
        assert found["original"] == ["Mine"]

    def test_two_prompts_for_one_object(self, run_in_blender):
        found = run_in_blender("queue", script=PROBE)
        assert found["foremost"]
        assert not found["new UVs"], "a texture that is being made would land in other places"
        assert found["one preview"]
        assert found["first"] == ["finished", 1, True]
        assert found["under it"] == ["Shown: red bricks"]
        assert found["third"] == [["Shown: blue tiles"], 2]
        assert found["original"] == ["Mine"]

    def test_a_result_waits_while_another_ones_preview_holds_faces_in_edit_mode(self, run_in_blender):
        found = run_in_blender("faces_meanwhile", script=PROBE)
        assert found["on faces"]
        assert found["held"][0] == "held"
        assert "Leave Edit Mode" in found["held"][1]
        assert found["then"] == ["finished", 1]
        assert (found["indices"], found["slots"]) == ([0], 1)

    def test_a_shared_mesh_in_edit_mode_and_what_cancel_all_leaves(self, run_in_blender):
        found = run_in_blender("shared_and_edited", script=PROBE)
        assert found["edited"][1] == "", "the picture of a version never costs the version"
        assert found["after"] == ["finished", 1, True]
        assert found["held"] == "held"
        assert found["cancelled"] == ["held", "cancelled", False], "what is finished is no texture in the making"
        assert found["kept"] == ["finished", 2]

    def test_stars_notes_and_pictures(self, run_in_blender):
        found = run_in_blender("lists", script=PROBE)
        assert found["all"] == [0, 1, 2]
        assert (found["starred"], found["note"], found["seed"], found["none"]) == ([0], [1], [2], [])
        assert found["picture"] == [128, [56, 56, 56]], "the corner is beside the object"
        assert found["middle"] == 2, "the object is blue"
        assert found["marked"] == ["FINISHED"]
        assert found["asset"] == ["red , bricks ... —", ["bricks", "red"], [128, 128]]
        assert found["asset picture"]
        assert found["twice"] == 2
        assert found["left"] == [5, 7], "the starred one, and the one that is shown"


def _square(depth: float, uv: float) -> tuple[np.ndarray, np.ndarray]:
    corners = np.array([[-1, depth, -1], [1, depth, -1], [1, depth, 1], [-1, depth, 1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return corners[faces], np.full((2, 3, 2), uv, np.float32)


def _mesh(*squares: tuple[np.ndarray, np.ndarray], textured: bool = True) -> PortraitMesh:
    corners = np.concatenate([corners for corners, _ in squares])
    return PortraitMesh(corners, np.concatenate([uvs for _, uvs in squares]), np.full(len(corners), textured))


PIXELS = np.array([[[250, 0, 0], [0, 250, 0]]], np.uint8)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_surface_hides_the_farther_one(order):
    squares = [_square(-0.5, 0.25), _square(0.5, 0.75)]
    picture = draw_portrait(_mesh(*[squares[index] for index in order]), PIXELS, 64)
    middle = picture[24:40, 24:40].reshape(-1, 3)
    assert (middle[:, 0] > 0).all()
    assert (middle[:, 1] == 0).all(), "in front is the red one"
    assert (picture == 56).all(-1).any()


def test_uvs_repeat_and_the_top_row_is_the_upper_edge():
    pixels = np.array([[[250, 0, 0]], [[0, 0, 250]]], np.uint8)
    upper = draw_portrait(_mesh(_square(0.0, 3.9)), pixels, 32)
    lower = draw_portrait(_mesh(_square(0.0, -0.9)), pixels, 32)
    assert upper[16, 16, 0] > 100 > upper[16, 16, 2]
    assert lower[16, 16, 2] > 100 > lower[16, 16, 0]


def test_gray_pictures_and_faces_that_are_not_for_the_version():
    gray = draw_portrait(_mesh(_square(0.0, 0.5)), np.full((2, 2, 1), 90, np.uint8), 32)
    bare = draw_portrait(_mesh(_square(0.0, 0.5), textured=False), PIXELS, 32)
    assert len(set(gray[16, 16])) == 1
    assert len(set(bare[16, 16])) == 1
    assert (bare[16, 16] > gray[16, 16]).all()


@pytest.mark.parametrize("corners", [np.zeros((0, 3, 3)), np.zeros((2, 3, 3)), np.full((1, 3, 3), np.nan)])
def test_nothing_to_see(corners):
    count = len(corners)
    mesh = PortraitMesh(corners.astype(np.float32), np.zeros((count, 3, 2), np.float32), np.ones(count, np.bool_))
    assert draw_portrait(mesh, PIXELS) is None
