# SPDX-License-Identifier: Apache-2.0
"""The words of other languages belong to words that are there, and keep their values."""

import ast
import re
from pathlib import Path

import pytest

import blender_addon

ADDON = Path(blender_addon.__file__).parent


def _constants(path):
    return {
        node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)
    }


def _german():
    tree = ast.parse((ADDON / "translations.py").read_text(encoding="utf-8"))
    assigned = [node for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)]
    return next(ast.literal_eval(node.value) for node in assigned if node.target.id == "GERMAN")


@pytest.mark.slow
def test_what_is_translated_is_said_somewhere():
    said = set()
    for path in ADDON.rglob("*.py"):
        if path.name != "translations.py":
            said |= {text for text in _constants(path) if isinstance(text, str)}
    assert [text for text in _german() if text not in said] == []


def test_values_have_their_places_in_every_language():
    for text, translated in _german().items():
        assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", translated)), text


def _drawn_f_strings(path):
    """The words in f-strings that are handed to label() and progress()."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("label", "progress"):
            for keyword in node.keywords:
                parts = keyword.value.values if isinstance(keyword.value, ast.JoinedStr) else ()
                yield from (part.value for part in parts if isinstance(part, ast.Constant))


def test_sentences_with_values_go_through_tr():
    """An f-string that is drawn could not be translated."""
    files = [
        ADDON / "ui" / f"{name}.py" for name in ("panel", "progress", "settings", "server_line", "problem", "text")
    ]
    found = [(path.name, words) for path in files for words in _drawn_f_strings(path)]
    assert [item for item in found if re.search(r"[a-z]{3}", item[1])] == []


@pytest.mark.blender
@pytest.mark.slow
def test_the_panel_in_german(run_in_blender, blender):
    found = run_in_blender("in_german", script="probe_panel.py")
    if not found["languages"]:
        pytest.skip("pip's bpy has no languages; Blender itself does")
    assert found["operator"] == "Textur erzeugen"
    assert "Server bereit" in found["texts"]
