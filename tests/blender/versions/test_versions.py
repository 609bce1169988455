# SPDX-License-Identifier: Apache-2.0
"""Versions of an object: exact pixels after undo, reload, append, copies and moves; only what was asked for changes."""

from dataclasses import replace
from typing import Any

import pytest

from tests.blender.blender_process import probe_script

pytestmark = [pytest.mark.blender, pytest.mark.slow]
PROBE = "probe_versions.py"
_OTHER_NAMES = """ocio_profile_version: 2
roles: {default: Film Data, data: Film Data, default_byte: Film Texture, default_float: Film Linear,
  scene_linear: Film Linear, rendering: Film Linear, color_picking: Film Texture, texture_paint: Film Texture,
  aces_interchange: Film Linear, cie_xyz_d65_interchange: Film Linear}
file_rules:
  - !<Rule> {name: Default, colorspace: default_byte}
displays:
  sRGB:
    - !<View> {name: Standard, colorspace: Film Texture}
colorspaces:
  - !<ColorSpace> {name: Film Linear, encoding: scene-linear, isdata: false}
  - !<ColorSpace> {name: Film Data, encoding: data, isdata: true}
  - !<ColorSpace>
    name: Film Texture
    isdata: false
    to_scene_reference: !<ExponentWithLinearTransform> {gamma: 2.4, offset: 0.055}
"""
_PROBES = (
    "undo_redo",
    "save_reload",
    "append",
    "duplicate",
    "shared_mesh",
    "targets",
    "artist_changes",
    "edited_mesh",
    "compare_and_click",
    "storage",
    "unwritable",
    "udim",
    "gltf",
    "promises",
    "reuse",
    "damaged",
    "thumbnails",
    "wear",
)


@pytest.fixture(scope="module")
def answers(blender, tmp_path_factory):
    """`answers("probe")`: what it found, all in one Blender."""
    work = tmp_path_factory.mktemp("versions")
    (work / "files").mkdir()
    arguments = {"names": _PROBES, "folder": str(work / "files")}
    found = blender.call(probe_script(PROBE), "several", arguments, work=work, limit=110)

    def answer(name: str) -> Any:
        assert "failed" not in found[name], found[name]["failed"]
        return found[name]

    return answer


def test_undo_and_redo_keep_exact_pixels(answers):
    assert answers("undo_redo") == {"full": True, "one": True, "none": [0, True], "again": True}


def test_a_save_keeps_all_versions_without_fake_users(answers):
    found = answers("save_reload")
    assert found["same"]
    assert found["shown"]
    assert found["active"] == 0
    assert found["facts"] == ["prompt 2", "blurry", 102, "job2", "object", "Artist"]
    assert found["schema"] == 1
    assert found["fake users"] == []
    assert found["users"] == [2], "the version and its material, and nothing else"
    assert found["spaces"] == {"base_color": "sRGB", "orm": "Non-Color", "normal": "Non-Color"}
    assert found["thumbnail"] == [[32, 32], True, "sRGB"]


def test_an_append_brings_all_versions_along_and_a_link_is_read_only(answers):
    found = answers("append")
    refused = found.pop("linked refused")
    assert found == {"same": True, "local": True, "saved": True, "linked": True, "linked poll": False}
    assert "linked from another file" in refused[0]


def test_a_copy_shares_pictures_and_nothing_else(answers):
    assert answers("duplicate") == {
        "new": True,
        "images": 0,
        "same": True,
        "apart": [True, True],
        "removed": [True, True],
        "restored": [[], True],
    }


def test_objects_that_share_a_mesh(answers):
    found = answers("shared_mesh")
    text, fix = found.pop("faces")
    assert "shared with other objects" in text
    assert fix == "pgc.make_single_user"
    assert found == {
        "twin": True,
        "shown": True,
        "twin still": True,
        "same": True,
        "own mesh": [True, True],
        "faces then": True,
        "copy keeps": [True, True],
        "copy then": [True, ["Own"]],
    }


def test_faces_and_slots_lie_over_each_other(answers):
    found = answers("targets")
    assert len(found) == 11
    assert [name for name, good in found.items() if not good] == []


def test_what_the_artist_changed_stays(answers):
    found = answers("artist_changes")
    assert "made for slot 2" in found.pop("gone slot")[0]
    assert "pictures of prompt 3 are gone" in found.pop("pictures gone")[0]
    assert found == {"kept": True, "below": True, "again": True, "original": ["A", "Mine"], "rebuilt": True}


def test_an_edited_mesh_is_said_and_the_rest_works_on(answers):
    found = answers("edited_mesh")
    assert "leave Edit Mode" in found["edit mode"][0]
    assert found["whole in edit mode"]
    assert "had 6 faces" in found["refused"][0]
    assert found["original"]


def test_compare_click_rename_and_remove(answers):
    found = answers("compare_and_click")
    assert "click one in the list" in found.pop("nothing chosen")[0]
    assert found == {
        "poll before": False,
        "original": ["Own"],
        "first": True,
        "toggles": [0, 1, 0, 1],
        "click": True,
        "none": [["Own"], -1, False],
        "click again": True,
        "removed active": [["Own"], -1, True],
        "name": "Best so far",
    }


def test_purge_and_move_to_disk_and_back(answers):
    found = answers("storage")
    assert "is missing" in found.pop("missing")[0]
    assert found.pop("files") == [
        "Plane_prompt_2_base_color.png",
        "Plane_prompt_2_base_color_1.png",
        "Plane_prompt_2_normal.png",
        "Plane_prompt_2_orm.png",
    ]
    assert found == {
        "sum": True,
        "stranger": True,
        "bytes": True,
        "moved": [True, True],
        "relative": True,
        "reloaded": True,
        "back": [True, True],
        "purged": [True, 4, 1],
        "unpurged": True,
    }


def test_a_folder_that_cannot_be_written_to(answers):
    found = answers("unwritable")
    assert "save it first" in found["unsaved"][0]
    assert "Choose another folder" in found["refused"][0]
    assert found["same"]


def test_udim_tiles_are_one_image(answers):
    found = answers("udim")
    whole = [True, [1001, 1002, 1011]]
    assert found == {"made": whole, "images": 2, "saved": whole, "files": True, "path": True, "back": whole}


def test_gltf_gets_one_orm_texture(answers):
    found = answers("gltf")
    orm, apart = found["orm"], found["apart"]
    assert orm["images"] == orm["textures"] == 3, "base color, ORM, normal"
    assert orm["occlusion"] == orm["roughness"]
    assert orm["base bytes"], "the very bytes of the server, not encoded again"
    assert orm["orm bytes"]
    assert apart["images"] == 3, "two gray maps become one"
    assert apart["occlusion"] is None
    for case in found.values():
        assert case["factors"] == [1, 1]
        assert case["normal"]


def test_nothing_else_changes_in_awkward_scenes(answers):
    results = answers("promises")
    assert len(results) == 27
    assert {name for name, result in results.items() if "error" in result} == {"shared mesh, faces"}
    for name, result in results.items():
        assert result["same"], name
        assert result.get("materials", True), name
        assert result.get("versions", 1) == 1, name


def test_reuse_and_regenerate(answers):
    found = answers("reuse")
    assert found["prompt"] == ["prompt 1", "blurry", 0]
    assert found["sent"] == ["prompt 1", 101, "draft", 7, 1024, True]
    assert found["again"] == 2, "one more waits, whatever number of variations the panel says"
    assert found["four"] == [102, 103, 104, 105], "from the panel's seed on"
    assert found["refined"] == [101, 0.25, 1]
    assert found["shown"] == 0
    assert found["next"] == [101, 102], "that of the shown version, and the one after it"
    assert found["anew"] is None, "what was refined does not make the next one start from it"
    assert found["faces"] == [2, 3], "the version's faces, not those that are selected now"
    assert found["selected"] == [5]
    assert found["new seed"] == 77
    assert found["style"] == ["prompt 1", 7, 101, "256", "object", True, True], "the object's own size and target stay"
    assert "Nobody shows no texture of a prompt" in found["no style"]
    says = ("is damaged", "is damaged", "the steps 'many'", "the model '5'", "the maps")
    for text, (style, again, unchanged) in zip(says, found["damaged"], strict=True):
        assert text in style
        assert text in again
        assert unchanged, "the panel is as it was"


def test_layers_of_wear_come_and_go(answers):
    found = answers("wear")
    assert found["first"] == [["prompt 2, mask", 1.0, 1], ["prompt 2, facing up", 1.0, 1]]
    assert found["mixed"] == [2, 2, True], "a mix of the one map that both have, for each layer"
    assert found["strengths"] == [0.0, 0.25]
    assert found["rebuilt"] == 2
    assert found["same"] == [True, True]
    assert found["images"] == 1, "the artist's own mask; those of the layers are gone"
    itself, flat, missing = found["refused"]
    assert "cannot lie over itself" in itself
    assert "no edges that lie inside" in flat
    assert "has no version 9" in missing


def test_color_spaces_by_role_where_the_names_are_others(blender, tmp_path):
    config = tmp_path / "config.ocio"
    config.write_text(_OTHER_NAMES, encoding="utf-8")
    other = replace(blender, environment={"OCIO": str(config)})
    found = other.call(probe_script(PROBE), "color_config", {}, work=tmp_path / "blender", limit=100)
    assert found == {
        "base_color": ["Film Texture", False],
        "orm": ["Film Data", True],
        "normal": ["Film Data", True],
    }


def test_what_is_damaged_or_newer_is_refused(answers):
    found = answers("damaged")
    assert len(found["refused"]) == 4
    assert all("damaged" in text for text, _ in found["refused"])
    assert found["left"] == 0
    assert "update it" in found["newer"][0]


def test_thumbnails_are_means_of_the_picture(answers):
    found = answers("thumbnails")
    assert found["worst"] <= 0.5, "rounded, and nothing else"
    assert found["preview"] == [[128, 128], pytest.approx(0.0, abs=0.01)]
    assert found["small map"] == [[128, 128], pytest.approx(0.0, abs=0.01)]
    assert found["big map"] is None, "reading it would hold up Blender; it shows Blender's own icon"
