# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel says of what went wrong, and which button it offers."""

from __future__ import annotations

import pytest

from blender_addon.model import problems
from blender_addon.protocol.errors import ErrorCode, Retry, WireError


def told(code: ErrorCode, *, text: str = "This came.", hint: str = "", field: str | None = None, err_id: str = ""):
    return WireError(code, Retry.LATER, text, hint=hint, field=field, err_id=err_id)


@pytest.mark.parametrize(
    ("code", "field", "operator"),
    [
        (ErrorCode.INPUT_INVALID, "maps[1]", "pgc.base_color_only"),
        (ErrorCode.INPUT_INVALID, "settings.steps", "pgc.generate"),
        (ErrorCode.INPUT_INVALID, None, "pgc.generate"),
        (ErrorCode.INPUT_UNKNOWN_FIELD, "maps[1]", "pgc.copy_install_command"),
        (ErrorCode.PROTO_TOO_LARGE, "settings.texture_size", "pgc.smaller_texture"),
        (ErrorCode.PROTO_TOO_LARGE, "meshes", ""),
        (ErrorCode.INPUT_INVALID, "settings.texture_size", "pgc.generate"),
        (ErrorCode.INPUT_INVALID, "meshes", "pgc.generate"),
    ],
)
def test_a_button_needs_the_code_and_the_field(code, field, operator):
    assert problems.of_error(told(code, field=field)).operator == operator


def test_an_older_server_is_told_by_the_wish_that_it_does_not_know():
    said = problems.of_error(told(ErrorCode.INPUT_UNKNOWN_FIELD, field="settings.soft_edge", text="It knows: a, b."))
    assert "does not know 'soft_edge'" in said.text
    assert "It knows" not in said.text


def test_details_are_those_that_only_the_server_knows():
    text, hint = "The disk is full.", "Delete some jobs."
    assert problems.of_error(told(ErrorCode.RES_DISK, text=text, hint=hint)).text.endswith(f"{text} {hint}")
    assert problems.of_error(told(ErrorCode.INTERNAL, text="Odd.", err_id="e7")).text.endswith("Odd. (Error e7)")
    lost = problems.of_error(told(ErrorCode.WORKER_LOST, text="Odd.", hint="Well."))
    assert lost.text == "The server's worker ended in the middle of the job. Try again."
    invalid = problems.of_error(told(ErrorCode.INPUT_INVALID, text="Too long.", hint="Shorten it."))
    assert invalid.text == "Too long. Shorten it."


@pytest.mark.parametrize(
    ("code", "field", "operator"),
    [
        (ErrorCode.INPUT_INVALID, "maps", "pgc.unwrap"),
        (ErrorCode.INTERNAL, None, "pgc.open_server_log"),
        (ErrorCode.WORKER_LOST, None, "pgc.unwrap"),
        (ErrorCode.INPUT_INVALID, "meshes", "pgc.unwrap"),
        (ErrorCode.MODEL_MISSING, None, "pgc.unwrap"),
    ],
)
def test_new_uvs_that_fail_can_be_made_in_blender(code, field, operator):
    assert problems.unwrap_problem(told(code, field=field)).operator == operator


def test_without_xatlas_the_way_to_it_is_said():
    found = problems.unwrap_problem(told(ErrorCode.INPUT_INVALID, field="maps[0]"))
    assert found == problems.xatlas_problem()
    assert "pip install xatlas" in found.text


def test_shapes_are_asked_for_again_by_their_own_buttons():
    full = told(ErrorCode.RES_DISK)
    assert problems.shape_problem(full).operator == "pgc.refine_shape"
    assert problems.shape_problem(full, again="pgc.imagine").operator == "pgc.imagine"
    unseeing = problems.shape_problem(told(ErrorCode.MODEL_MISSING, field="guidance.model"), "zero123")
    assert (unseeing.operator, unseeing.options) == ("pgc.copy_model_command", {"model": "zero123"})
    assert problems.shape_problem(told(ErrorCode.INPUT_INVALID, field="maps[0]")) == problems.no_shapes_problem()
    assert problems.of_shape(problems.draining_problem(), again="pgc.imagine") == problems.draining_problem()


def test_reasons_of_others_become_one_sentence():
    assert problems.start_problem(" No port is free. \n").text == "No port is free. Its log says more."
    assert problems.start_problem("").text == "The server cannot be started. Its log says more."
    assert problems.connection_problem(" It is gone. ").text == "It is gone. Connecting again by itself."
    assert "no reason was given" in problems.broken_problem("  ").text
    found = problems.broken_problem("Traceback\n  File x\nKeyError: " + "y" * 200)
    assert "(KeyError: " + "y" * 110 + ")" in found.text


def test_a_defect_keeps_the_end_of_its_report_and_the_beginning_of_its_reason():
    found = problems.defect_problem("Drawing", "a\n  b " + "c" * 200, "x" + "r" * 8000)
    assert "(a b " + "c" * 116 + ")" in found.text
    assert found.options == {"text": "r" * 8000}


def test_each_absence_has_its_button():
    assert problems.absent_problem().operator == "pgc.start_server"
    assert problems.draining_problem().operator
    assert problems.empty_problem().operator == "pgc.generate"
    assert problems.forgotten_problem().operator == "pgc.generate"
    assert problems.offline_problem("far.example").operator == "pgc.allow_online"
    assert "far.example" in problems.offline_problem("far.example").text


@pytest.mark.parametrize(
    ("can_install", "operator"), [(True, "pgc.install_server"), (False, "pgc.copy_install_command")]
)
def test_where_the_extension_cannot_install_it_gives_the_command(monkeypatch, can_install, operator):
    monkeypatch.setattr(problems, "INSTALL_SERVER", can_install)
    assert problems.not_installed_problem().operator == operator
