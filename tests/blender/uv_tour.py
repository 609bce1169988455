# SPDX-License-Identifier: Apache-2.0
"""What the panel says of UVs that cannot carry a texture, in a real window, and what comes of the offered click.

    BLENDER_BIN=blender DISPLAY=:1 python -m tests.blender.uv_tour --connection FILE [--zip ZIP] [--out FOLDER]

Of a crate whose UVs tile, of one with UVs on some faces, and of one without any: a picture before, one after New UV
Map was clicked, and one of the finished texture; of the first one also the picture of its texel density. FILE is the
connection file of a server that runs. Needs what `window_tour` needs; no part of `make test`: it is for eyes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.blender.blender_window import SEE_LIMIT, BlenderWindow, WindowError
from tests.blender.window_tour import ROOT, newest_zip

__all__ = ["CASES", "crate", "main"]

CASES = ("tiling", "partial", "none")
_JOB_LIMIT = 900.0
_CORNERS = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
_FACES = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]


def crate(case: str) -> str:
    """An OBJ of three boards and a box: UVs that tile, on half of the faces, or none."""
    lines, count = ["o Crate"], 0
    pieces = [((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))]
    pieces += [((0.0, -1.1, height), (1.05, 0.08, 0.2)) for height in (-0.7, 0.0, 0.7)]
    for place, size in pieces:
        lines += [f"v {' '.join(f'{p + s * c:g}' for p, s, c in zip(place, size, at, strict=True))}" for at in _CORNERS]
    for number in range(len(pieces)):
        for face in _FACES:
            corners = [8 * number + corner for corner in face]
            if case == "none" or (case == "partial" and number > 0):
                lines.append("f " + " ".join(map(str, corners)))
                continue
            for x, y in ((0, 0), (1, 0), (1, 1), (0, 1)):
                column, row = (_FACES.index(face) % 3, _FACES.index(face) // 3)
                uv = (3 * x, 3 * y) if case == "tiling" else (0.02 + (column + 0.9 * x) / 5, 0.02 + (row + 0.9 * y) / 5)
                lines.append(f"vt {uv[0]:g} {uv[1]:g}")
            lines.append("f " + " ".join(f"{corner}/{count + place}" for place, corner in enumerate(corners, 1)))
            count += 4
    return "\n".join(lines) + "\n"


class _UvTour:
    """One window for each case."""

    def __init__(self, blender: str, zip_file: Path, connection: Path, out: Path) -> None:
        self._blender, self._zip, self._connection, self._out = blender, zip_file, connection, out

    def go(self, case: str) -> None:
        """Before, after the click, and the texture."""
        work = self._out / "work" / case
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        mesh = work / "crate.obj"
        mesh.write_text(crate(case), encoding="utf-8")
        given = {"connection": str(self._connection), "mesh": str(mesh), "name": "Crate", "steps": 40}
        window = BlenderWindow(self._blender, work, given)
        try:
            window.install(self._zip)
            window.open()
            window.wait("the server", lambda now: bool(now["server"]), SEE_LIMIT)
            window.rest(12)
            window.grab(self._out / f"{case}-1-before.png")
            if case == "tiling":
                window.write("prompt", "wooden planks")
                window.click("pgc.generate")
                window.rest(8)
                window.grab(self._out / f"{case}-2-generate-was-clicked.png")
            window.click("pgc.unwrap")
            window.rest(12)
            window.grab(self._out / f"{case}-3-after.png")
            window.write("prompt", "wooden planks")
            window.click("pgc.generate")
            window.wait("the result", lambda now: now["state"] in {"done", "failed"}, _JOB_LIMIT)
            window.rest(8)
            window.grab(self._out / f"{case}-4-result.png")
        except WindowError:
            window.grab(self._out / f"{case}-failed.png")
            raise
        finally:
            window.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: 0 where all went well, 1 where a step failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connection", type=Path, required=True, help="connection file of a server that runs")
    parser.add_argument("--zip", type=Path, help="of the extension; default: the newest in dist")
    parser.add_argument("--out", type=Path, default=Path("out/uvs"), help="default: out/uvs")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    given = parser.parse_args(arguments)
    out = given.out.resolve()
    tour = _UvTour(
        os.environ["BLENDER_BIN"], (given.zip or newest_zip(ROOT / "dist")).resolve(), given.connection.resolve(), out
    )
    for case in given.cases:
        try:
            tour.go(case)
        except WindowError as error:
            sys.stdout.write(f"{case}: {error}\n")
            return 1
        sys.stdout.write(f"{case}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
