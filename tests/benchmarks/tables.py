# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of tests/benchmarks/README.md from the files in `results/`.

`python -m tests.benchmarks.tables` writes them, `--check` only says whether they stand as the files have them.
A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks import (
    memory_tables,
    method_tables,
    product_tables,
    quality_tables,
    server_tables,
    shape_tables,
    volume_tables,
)
from tests.benchmarks.card import card_tables

__all__ = ["RESULTS", "TABLES", "UnknownTableError", "main", "written"]

PAGE = Path(__file__).with_name("README.md")
RESULTS = Path(__file__).with_name("results")

TABLES: dict[str, Callable[[Callable[[str], Any]], str]] = {
    "prompts": quality_tables.prompts,
    "warm-start": quality_tables.warm_start,
    "finishes": quality_tables.finishes,
    "methods": quality_tables.methods,
    "clipping-tuning": method_tables.clipping_tuning,
    "clipping": method_tables.clipping,
    "encoder-tails": method_tables.encoder_tails,
    "losses": method_tables.losses,
    "schedules": method_tables.schedules,
    "strength": method_tables.strength,
    "repaint": quality_tables.repaint,
    "materials-quick": quality_tables.materials_quick,
    "materials-full": quality_tables.materials_full,
    "material-pairs": quality_tables.material_pairs,
    "explained-light": quality_tables.explained_light,
    "shapes": shape_tables.shapes,
    "pictures": shape_tables.pictures,
    "shape-steps": shape_tables.shape_steps,
    "volumes": volume_tables.volumes,
    "imagined": volume_tables.imagined,
    "shading": quality_tables.shading,
    "meshes": product_tables.meshes,
    "models": product_tables.models,
    "fuzzing": product_tables.fuzzing,
    "kills": product_tables.kills,
    "server": product_tables.server,
    "soak": server_tables.soak,
    "server-fuzzing": server_tables.server_fuzzing,
    "damage": server_tables.damage,
    "blender": product_tables.blender,
    "steps": product_tables.steps,
    "memory": memory_tables.memory,
    "memory-plans": memory_tables.plans,
    "mutation": product_tables.mutation,
    "growth": card_tables.growth,
    "official": card_tables.compared,
    "busy": card_tables.busy,
    "waits": card_tables.waits,
    "frozen": card_tables.frozen,
    "demo-pair": card_tables.pair,
    "over-time": card_tables.over_time,
}
"""What can stand in the page: each makes its table from the results, which it reads by name."""

BLOCK = re.compile(r"<!-- table: (?P<name>[\w-]+) -->\n.*?<!-- end of table -->", re.DOTALL)


class UnknownTableError(ValueError):
    """The page asks for a table that there is no function for."""


def written(page: str, results: Path = RESULTS) -> str:
    """Returns the page's text with each of its tables made anew from the result files.

    Raises UnknownTableError for a name that TABLES lacks, and FileNotFoundError for a result that is not there.
    """

    def read(name: str) -> Any:
        return json.loads((results / f"{name}.json").read_text(encoding="utf-8"))

    def replaced(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in TABLES:
            raise UnknownTableError(f"there is no table “{name}”; known are {', '.join(TABLES)}")
        return f"<!-- table: {name} -->\n{TABLES[name](read)}\n<!-- end of table -->"

    return BLOCK.sub(replaced, page)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the page, or compares it; returns 1 where `--check` finds another text."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.tables", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare; exit code 1 if the page is out of date")
    check = parser.parse_args(arguments).check
    page = PAGE.read_text(encoding="utf-8")
    wanted = written(page)
    if check:
        if page != wanted:
            sys.stderr.write("tests/benchmarks/README.md is out of date: run python -m tests.benchmarks.tables\n")
        return int(page != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
