# SPDX-License-Identifier: Apache-2.0
"""Draws the house in text: rooms, floors, arrows, upward arrows, circles, files a room.

python -m tests.house                # a line for each folder, and the three packages from the roof down
python -m tests.house pgc/texture    # one folder
python -m tests.house --json         # the figures alone
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.house.imports import Module, read_imports
from tests.house.rooms import House, houses

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pgc", "server", "blender_addon")
_WIDTH = 118


def house_of_repository(root: Path = ROOT, packages: Sequence[str] = PACKAGES) -> dict[Module, House]:
    """Return the houses of all folders of the packages."""
    return houses(read_imports(root, packages))


def figures(house: House) -> dict[str, int]:
    """Return the figures of one folder."""
    return {
        "rooms": len(house.files),
        "floors": max(house.floors.values(), default=0),
        "arrows": len(house.arrows),
        "upward": len(house.upward),
        "circles": len(house.circles),
        "side by side": house.side_by_side,
    }


def name(folder: Module) -> str:
    """Return a folder as it is written: "pgc/texture/"; "./" is the whole."""
    return "/".join((*folder, "")) or "./"


def table(all_houses: Mapping[Module, House]) -> Iterator[str]:
    """Yield a line of figures for each folder."""
    rows = {name(folder): figures(house) for folder, house in all_houses.items()}
    columns = list(figures(House((), {}, {})))
    width = max(map(len, rows))
    yield " ".join([" " * width, *(f"{column:>{len(column) + 1}}" for column in columns)])
    for folder, row in rows.items():
        yield " ".join([f"{folder:{width}}", *(f"{row[column]:{len(column) + 1}}" for column in columns)])
    total = {column: sum(row[column] for row in rows.values()) for column in ("upward", "circles")}
    yield f"{len(rows)} folders, {total['upward']} arrows upward, {total['circles']} circles"


def drawing(house: House) -> Iterator[str]:
    """Yield one folder from the roof down: a line a room, with what it imports beside it."""
    row = figures(house)
    yield f"{name(house.folder)}  " + ", ".join(f"{number} {what}" for what, number in row.items())
    for floor in range(row["floors"], 0, -1):
        for index, room in enumerate(sorted(room for room, at in house.floors.items() if at == floor)):
            files = f" ({house.files[room]})" if room.endswith("/") else ""
            label = f"{f'{floor:3}' if index == 0 else '   '}  {room}{files}"
            below = ", ".join(
                other + ("↑" if house.floors[other] >= floor else "")
                for other in sorted(house.graph[room], key=lambda other: (-house.floors[other], other))
            )
            yield from _wrapped(f"{label:38}", f"→ {below}" if below else "")
    for circle in house.circles:
        yield f"circle: {' ⇄ '.join(circle)}"


def _wrapped(label: str, text: str) -> Iterator[str]:
    line = label
    for word in text.split(" "):
        if len(line) + len(word) + 1 > _WIDTH:
            yield line.rstrip()
            line = " " * 40
        line += " " + word
    yield line.rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw; returns 2 where the named folder holds no Python file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="*", help="folders to draw, such as pgc/texture")
    parser.add_argument("--json", action="store_true", help="the figures of every folder as JSON")
    given = parser.parse_args(arguments)
    wanted = [tuple(part for part in Path(folder).parts) for folder in given.folder]
    packages = sorted({*PACKAGES, *(folder[0] for folder in wanted if folder)})
    all_houses = house_of_repository(packages=packages)
    for folder in wanted:
        if folder not in all_houses:
            sys.stderr.write(f"{name(folder)} holds no Python file; name a folder of the repository, such as pgc.\n")
            return 2
    if given.json:
        lines = [json.dumps({name(folder): figures(house) for folder, house in all_houses.items()}, indent=1)]
    elif wanted:
        lines = [line for folder in wanted for line in (*drawing(all_houses[folder]), "")]
    else:
        tops = [(), *((package,) for package in PACKAGES)]
        lines = [*table(all_houses), *(line for top in tops for line in ("", *drawing(all_houses[top])))]
    sys.stdout.write("\n".join(lines).rstrip() + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
