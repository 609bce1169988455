# SPDX-License-Identifier: Apache-2.0
"""The live preview: on the targeted faces alone, without an undo step, and gone without a trace."""

import numpy as np
import pytest

from blender_addon.client.events import JobFailed, JobNotice, JobPreview
from blender_addon.model.preview_frames import MAX_SIDE, AtlasPlace, FrameComposer
from blender_addon.protocol.errors import ErrorCode, Retry, WireError

PROBE = "probe_previews.py"
in_blender = [pytest.mark.blender, pytest.mark.slow]


def marked(function):
    """In Blender, and so slow."""
    for mark in in_blender:
        function = mark(function)
    return function


def preview(image, *, tile=1001, name="base_color", job="j"):
    return JobPreview(job, 1, 2, name, tile, image, 9)


def pixels(frame):
    return frame.rgba.reshape(frame.height, frame.width, 4)


def test_a_frame_is_upside_down_linear_and_opaque():
    image = np.zeros((2, 2, 3), np.uint8)
    image[0] = (255, 188, 0)
    frame = FrameComposer()(preview(image))
    values = pixels(frame)
    assert values.dtype == np.float32
    assert values[0, :, :3].max() == 0.0
    np.testing.assert_allclose(values[1, 0], (1.0, ((188 / 255 + 0.055) / 1.055) ** 2.4, 0.0, 1.0), rtol=1e-6)
    assert (values[..., 3] == 1.0).all()
    assert frame.cost == 9
    assert frame.image is image


def test_data_maps_stay_as_they_are_and_grey_fills_all_channels():
    values = pixels(FrameComposer()(preview(np.full((1, 1, 1), 128, np.uint8), name="roughness")))
    np.testing.assert_allclose(values[0, 0], (128 / 255, 128 / 255, 128 / 255, 1.0), rtol=1e-6)


def test_tiles_lie_where_their_uvs_are():
    compose = FrameComposer()
    for tile, value in ((1001, 10), (1002, 20), (1012, 30)):
        frame = compose(preview(np.full((4, 4, 3), value, np.uint8), tile=tile, name="roughness"))
    assert frame.place == AtlasPlace(0, 0, 2, 2)
    values = pixels(frame)[..., 0] * 255
    assert values.shape == (8, 8)
    np.testing.assert_allclose((values[0, 0], values[0, 7], values[7, 7], values[7, 0]), (10, 20, 30, 0), atol=1e-4)


def test_a_far_tile_starts_its_own_atlas():
    frame = FrameComposer()(preview(np.zeros((4, 4, 3), np.uint8), tile=1024))
    assert frame.place == AtlasPlace(3, 2, 1, 1)
    assert (frame.width, frame.height) == (4, 4)


def test_no_frame_is_bigger_than_a_tick_can_copy():
    frame = FrameComposer()(preview(np.zeros((2048, 2048, 3), np.uint8)))
    assert (frame.width, frame.height) == (MAX_SIDE, MAX_SIDE)
    compose = FrameComposer()
    for tile in range(1001, 1006):
        frame = compose(preview(np.zeros((512, 512, 3), np.uint8), tile=tile))
    assert max(frame.width, frame.height) <= MAX_SIDE


def test_other_events_pass_and_an_end_forgets_the_tiles():
    compose = FrameComposer()
    compose(preview(np.zeros((4, 4, 3), np.uint8), tile=1005))
    notice = JobNotice("j", "text")
    assert compose(notice) is notice
    compose(JobFailed("j", None, WireError(ErrorCode.BUSY, Retry.LATER, "x")))
    assert compose(preview(np.zeros((4, 4, 3), np.uint8), tile=1001)).place == AtlasPlace()


@marked
def test_a_cancelled_preview_leaves_every_scene_as_it_was(run_in_blender):
    found = run_in_blender("awkward_scenes", script=PROBE)
    assert len(found) == 27
    refused = found.pop("shared mesh, faces")
    assert "shared with other objects" in refused["refused"]
    assert refused["same"]
    assert refused["sent"] == 0
    for name, facts in found.items():
        assert facts["shown"], name
        assert facts["others"], name
        assert facts["at once"], name
        assert facts["same"], name
        assert facts["left"] == [], name
        assert facts["told"] == ["job-1"], name
        assert facts["versions"] == 1, name
        assert facts["phase"] == "cancelled", name
        assert "kept as a version" in facts["note"], name


@marked
def test_only_the_faces_of_the_click_show_the_preview(run_in_blender):
    found = run_in_blender("faces", script=PROBE)
    assert found["asked"], "the selection did change in between"
    assert found["shown"][:2] == ["PGC Preview"] * 2
    assert "PGC Preview" not in found["shown"][2:]
    assert found["phase"] == "finished"
    assert len({found["final"][0], found["final"][1]}) == 1
    assert found["final"][0] not in found["final"][2:]
    assert "PGC Preview" not in found["slots"]


@marked
def test_pixels_arrive_the_right_way_up_in_their_tiles(run_in_blender):
    found = run_in_blender("pixels", script=PROBE)
    assert found["top"] == pytest.approx([1.0, ((128 / 255 + 0.055) / 1.055) ** 2.4, 0.0, 1.0], rel=1e-3)
    assert found["bottom"] == [0.0, 0.0, 0.0, 1.0]
    assert found["atlas"] == [4, 4, 4]
    assert found["tile 1001"][0] == 1.0
    assert found["tile 1012"] == [0.0, 0.0, 1.0]
    assert found["scale"] == [0.5, 0.5, 1.0]
    assert found["linked"] == ["Base Color", "Normal", "Roughness"]
    assert found["roughness"] == pytest.approx(64 / 255, abs=1e-3)
    assert found["float"]


@marked
def test_cycles_sees_the_colour_that_came(run_in_blender):
    assert run_in_blender("cycles_sees_the_preview", script=PROBE) == pytest.approx([200, 90, 30], abs=3)


@marked
def test_undo_in_the_middle_of_a_job(run_in_blender):
    found = run_in_blender("undo", script=PROBE)
    assert found["x"] == 2.0, "the undo took back the artist's move, and no preview"
    assert found["live"]
    assert found["pending"] == 1
    assert found["preview"] == [["PGC Preview"], [0.0, 1.0, 0.0]]
    assert found["final"] == ["Shown: red bricks"]
    assert found["undone"] == [["Mine"], ""]
    assert found["redone"] == ["Shown: red bricks"]
    assert not any("Preview" in name for name in found["images"])


@marked
def test_modes_during_a_job(run_in_blender):
    found = run_in_blender("modes", script=PROBE)
    assert len(found) == 5
    for name, facts in found.items():
        assert "PGC Preview" in facts["first"], name
        assert facts["end"] == ["finished", ["Shown: red bricks"]], name
        held = name in ("EDIT selected_faces", "TEXTURE_PAINT object")
        assert (facts["waits"][0] == "held") == held, name
        if held:
            assert "Leave" in facts["waits"][1], name
    assert found["TEXTURE_PAINT object"]["within"] == ["Mine"], "nobody paints into a preview"
    assert found["SCULPT object"]["waits"][2] == ["Shown: red bricks"]


@marked
def test_generate_in_edit_mode_takes_what_was_edited(run_in_blender):
    found = run_in_blender("edit_mode_click", script=PROBE)
    assert found == {"mode": "EDIT", "triangles": 8, "textured": 2, "selected": 1}
