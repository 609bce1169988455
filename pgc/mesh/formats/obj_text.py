# SPDX-License-Identifier: Apache-2.0
"""The text of an OBJ file made plain: after this, every line of v, vt, vn and f has the form that parsing expects.

Lines are replaced, never removed, so that line numbers stay those of the file.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from pgc.errors import MeshError
from pgc.mesh.checks import MAX_TRIANGLES
from pgc.mesh.tolerance import Notes, plain_text

__all__ = ["BadLines", "ObjText", "line_pattern", "plain_obj"]

# Possessive quantifiers (`++`, since Python 3.11): otherwise a long row of digits would be tried in every split.
_NUMBER = rb"[-+]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?"
_GAP = rb"[ \t]++"
_END = rb"[ \t]*+(?=\n|\Z)"
_BAD_NUMBERS = re.compile(
    rb"(?im)^[ \t]*+(?:"
    rb"(v)(?=\s|\Z)(?!(?:" + _GAP + _NUMBER + rb"){3,8}+" + _END + rb")"
    rb"|(vn)(?=\s|\Z)(?!(?:" + _GAP + _NUMBER + rb"){3}" + _END + rb")"
    rb"|(vt)(?=\s|\Z)(?!(?:" + _GAP + _NUMBER + rb"){1,3}+" + _END + rb")"
    rb")[^\n]*+"
)
_INDEX = rb"-?\d{1,9}+"  # more digits may not fit into 32 bits
_CORNER = _INDEX + rb"(?:/(?:" + _INDEX + rb")?+(?:/(?:" + _INDEX + rb")?+)?+)?+"
_CORNERS = rb"(?:" + _GAP + _CORNER + rb")"
_BAD_FACE = re.compile(rb"(?im)^[ \t]*+f(?=\s|\Z)(?!" + _CORNERS + rb"{3,}+" + _END + rb")[^\n]*+")
_SHORT_FACE = re.compile(rb"[ \t]*+[fF]" + _CORNERS + rb"{0,2}+" + _END)
_COMMENT_AFTER_NUMBERS = re.compile(rb"(?im)^([ \t]*+(?:v|vt|vn|f)[ \t][^\n#]*+)#[^\n]*+")
_KNOWN_LINE = re.compile(rb"(?im)^[ \t]*+(?:v|vt|vn|f|o|g)[ \t]")
_NAME_LINE_CONTINUED = re.compile(rb"(?im)^([ \t]*+(?:#|(?:mtllib|usemtl|o|g|s)\b)[^\n]*?)\\+$")
_WITHOUT_SURFACE = re.compile(rb"(?im)^[ \t]*+(?:l|p|curv|curv2|surf)[ \t]")
_NOT_FINITE = re.compile(rb"(?i)\b(?:nan|inf|infinity)\b|1\.#")
_MOST_VERTICES = 5 * MAX_TRIANGLES
_MOST_LINES = 20 * MAX_TRIANGLES


def line_pattern(kind: bytes) -> re.Pattern[bytes]:
    """Finds the lines of a kind: b"v", b"vt", b"vn" or b"f"."""
    return re.compile(rb"(?im)^[ \t]*+%b[ \t]" % kind)


@dataclass
class BadLines:
    """Lines of one kind that cannot be used."""

    count: int = 0
    first: str = ""
    """What is wrong with the first one, as a sentence."""

    def add(self, describe: Callable[[], str]) -> None:
        """Counts one more line; only the first is described."""
        self.count += 1
        if self.count == 1:
            self.first = describe()


@dataclass(frozen=True)
class ObjText:
    """The text of an OBJ file, and what was wrong with it.

    Args:
        data: UTF-8. Bad v, vt and vn lines hold NaN instead, bad f lines are empty.
        bad: by kind (b"v", b"vt", b"vn", b"f").
        short: faces with fewer than three corners.
    """

    data: bytes
    bad: dict[bytes, BadLines] = field(default_factory=dict)
    short: BadLines = field(default_factory=BadLines)


def plain_obj(source: str, data: bytes, notes: Notes) -> ObjText:
    """Makes the text of an OBJ file ready to be parsed. Raises `MeshError` where it is none, cut off or too big."""
    data = plain_text(data, notes, source)
    if b"\0" in data[:4096] or not _KNOWN_LINE.search(data):
        raise MeshError(f"{source}: this is not an OBJ text file (it has no v or f lines); export the mesh again.")
    _check_size(source, data)
    if b"\\\n" in data:
        # A path in a comment or in mtllib may end with a backslash: the next line is none of its business.
        data = _NAME_LINE_CONTINUED.sub(rb"\1", data).replace(b"\\\n", b"  ")
    if data.count(b"#") > data.count(b"\n#") + data.startswith(b"#"):
        data = _COMMENT_AFTER_NUMBERS.sub(rb"\1", data)
    notes.add(len(_WITHOUT_SURFACE.findall(data)), "Left out {} element(s) without surface (lines, points, curves).")
    text = ObjText(data, {kind: BadLines() for kind in (b"v", b"vt", b"vn", b"f")})
    if _BAD_NUMBERS.search(data) is None and _BAD_FACE.search(data) is None:
        return text
    return _without_bad_lines(source, text)


def _check_size(source: str, data: bytes) -> None:
    """Before anything is split into lines, each of which costs memory."""
    faces, vertices = data.count(b"\nf "), data.count(b"\nv ")
    if faces > MAX_TRIANGLES:
        raise MeshError(
            f"{source}: the mesh has {faces:,} faces, at most {MAX_TRIANGLES:,} triangles can be textured; "
            "reduce it (Blender: Decimate modifier) or split it into parts."
        )
    if vertices > _MOST_VERTICES:
        raise MeshError(
            f"{source}: the file has {vertices:,} vertices, expected at most {_MOST_VERTICES:,}; "
            "a point cloud has no surface: export the mesh alone."
        )
    lines = data.count(b"\n")
    if lines > _MOST_LINES:
        raise MeshError(
            f"{source}: the file has {lines:,} lines, expected at most {_MOST_LINES:,}; export the mesh alone, or "
            "split it into parts."
        )


def _without_bad_lines(source: str, text: ObjText) -> ObjText:
    data, bad = text.data, text.bad

    def numbers(match: re.Match[bytes]) -> bytes:
        """Counts a line without usable numbers and returns one of NaN in its place."""
        kind = next(group for group in match.groups() if group).lower()
        bad[kind].add(lambda: _sentence(data, match, "numbers"))
        _check_whole(source, data, match)
        return kind + (b" nan nan" if kind == b"vt" else b" nan nan nan")

    plain = _BAD_NUMBERS.sub(numbers, data)

    def face(match: re.Match[bytes]) -> bytes:
        """Counts a face line that cannot be read and returns an empty one in its place."""
        _check_whole(source, plain, match)
        kind = text.short if _SHORT_FACE.fullmatch(match.group()) else bad[b"f"]
        kind.add(lambda: _sentence(plain, match, "at least 3 corners such as 1/2/3"))
        return b""

    return ObjText(_BAD_FACE.sub(face, plain), bad, text.short)


def _check_whole(source: str, data: bytes, match: re.Match[bytes]) -> None:
    """A bad line at the end, without line end, is where the file was cut: more than this line is missing."""
    if match.end() == len(data):
        expected = "at least 3 corners such as 1/2/3" if match.group().lstrip()[:1] in b"fF" else "numbers"
        raise MeshError(f"{source}: {_sentence(data, match, expected)}")


def _sentence(data: bytes, match: re.Match[bytes], expected: str) -> str:
    line = data.count(b"\n", 0, match.start()) + 1
    got = match.group().strip().decode("utf-8", errors="replace")[:60]
    if expected == "numbers" and _NOT_FINITE.search(match.group()):
        reason = "holds NaN or infinity, expected finite numbers; repair the mesh and export it again"
    else:
        reason = f"cannot be read, expected {expected}; the file is damaged or cut off: export it again"
    return f"line {line} ({got!r}) {reason}."
