# SPDX-License-Identifier: Apache-2.0
"""Lines fit their width, and lose nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.model.text_wrapping import shortened, wrapped

WIDE, NARROW = "mwMW", "il.,"


def measure(text):
    """A font in which letters are of three widths."""
    return sum(9.0 if letter in WIDE else 2.5 if letter in NARROW else 6.0 for letter in text)


def test_lines_break_at_spaces():
    assert wrapped("one two three", 45.0, measure) == ["one two", "three"]
    assert wrapped("", 45.0, measure) == [""]
    assert wrapped("mmmm iiii", 36.0, measure) == ["mmmm", "iiii"]


def test_a_word_without_spaces_is_cut():
    assert wrapped("at /a/very/long/path now", 30.0, measure) == ["at", "/a/ve", "ry/lo", "ng/pa", "th", "now"]


@pytest.mark.slow
@given(st.text(st.sampled_from("abmwil. ")), st.floats(20.0, 200.0))
def test_every_line_fits_and_no_letter_is_lost(text, width):
    lines = wrapped(text, width, measure)
    assert all(measure(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(st.text(st.sampled_from("abmwil ")), st.floats(20.0, 200.0))
def test_what_is_shortened_fits(text, width):
    line = shortened(text, width, measure)
    assert measure(line) <= width
    assert line == text or (line.endswith("…") and text.startswith(line[:-1]))


@pytest.mark.parametrize(("text", "line"), [("abc", "abc"), ("abcdefgh", "abc…")])
def test_shortened(text, line):
    assert shortened(text, 24.0, measure) == line
