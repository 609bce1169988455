# SPDX-License-Identifier: Apache-2.0
"""Tables of what a run takes, and how that grows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.benchmarks.markdown import percent, table

__all__ = ["busy", "compared", "frozen", "growth", "over_time", "pair", "waits"]

_NOTHING = 0.05
_UNITS = {
    "resolution": "side of a view, pixels",
    "views": "views a step",
    "texture": "side of the texture",
    "triangles": "triangles",
}


def growth(read: Callable[[str], Any]) -> str:
    """Returns a step's processor seconds at each size, and the law that they follow."""
    lines = []
    for axis, row in read("scaling")["axes"].items():
        law = row["law"]
        sizes = ", ".join(f"{size:,}" for size in row["sizes"])
        seconds = ", ".join(f"{taken:.3g}" for taken in row["step_s"])
        largest = law["factor"] * row["sizes"][-1] ** law["power"]
        built = ", ".join(f"{taken:.2g}" for taken in row["build_s"])
        said = f"{law['fixed_s']:.2g} s + {largest:.2g} s · (n / {row['sizes'][-1]:,})^{law['power']:.2g}"
        if largest < _NOTHING * law["fixed_s"]:
            said = "does not grow"
        lines.append([_UNITS[axis], sizes, seconds, said, percent(law["error"]), built])
    head = ["n", "sizes", "processor seconds a step", "law of a step", "off by at most", "to begin, s"]
    return table(head, lines)


def compared(read: Callable[[str], Any]) -> str:
    """Returns the prior's work of whole runs by the official recipe and ours, and a step's rest."""
    result = read("compare_pgc3d")
    lines = [
        [
            name,
            f"{row['steps']:,} of {row['views']}",
            f"{row['pflop']:.0f}",
            *(f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min" for hours in row["hours"].values()),
        ]
        for name, row in result["by_count"].items()
    ]
    cards = list(result["by_count"]["standard"]["hours"])
    whole = table(["SDXL, depth, 1024²", "steps of views", "PFLOP of the prior", *cards], lines)
    rest = result["step_outside_the_prior_s"]
    fields = [[name, f"{rest[name]:.2f} s"] for name in ("hash grid", "texels")]
    return whole + "\n\n" + table([f"outside of the prior, a view of {rest['resolution']}²", "processor"], fields)


def busy(read: Callable[[str], Any]) -> str:
    """Returns a step's seconds alone and beside busy processes."""
    lines = [
        [name, f"{row['wall_s']:.2f} s", f"{row['processor_s']:.2f} s", percent(row["others"])]
        for name, row in read("busy_machine")["cases"].items()
    ]
    return table(["a step of the built-in model", "wall", "processor", "of the cores, taken by others"], lines)


def frozen(read: Callable[[str], Any]) -> str:
    """Returns how fast each way is to ask the frozen networks, and how far its answer is off."""
    result = read("frozen_networks")["threads"]["1"]
    ways = dict.fromkeys(way for rows in result.values() for way in rows)
    lines = [[way, *(_way(rows.get(way)) for rows in result.values())] for way in ways]
    return table(["one thread, times as fast; off by", *result], lines)


def _way(row: dict[str, Any] | None) -> str:
    return "–" if row is None else f"{row['times_as_fast']:.2f}; {row['difference']:.1g}"


def pair(read: Callable[[str], Any]) -> str:
    """Returns the demo's time at two commits, and what the judge says of its textures."""
    result = read("demo_pair")
    lines = [
        [
            f"{side}, {result['commits'][side][:8]}",
            f"{row['processor_s']:.0f} s",
            f"{row['wall_s']:.0f} s",
            f"{row['color']:.2f}",
            f"{row['material']:.2f}",
            f"{row['right']} of {row['judged']}",
        ]
        for side, row in sorted(result["sides"].items(), reverse=True)
    ]
    return table(["demo", "processor", "wall", "colour", "material", "both named as asked"], lines)


def over_time(read: Callable[[str], Any]) -> str:
    """Returns the judge's mean score at each time, with and without a warm start."""
    result = read("score_over_time")
    kinds = ("warm", "cold")
    times = sorted(result["at"], key=float)
    lines = [[f"{at} s", *(f"{result['at'][at][kind]:.2f}" for kind in kinds)] for at in times]
    end = [f"{result['end'][kind]:.2f} ({result['end_s'][kind]:.0f} s)" for kind in kinds]
    return table(["processor seconds", *kinds], [*lines, ["at the end", *end]])


def waits(read: Callable[[str], Any]) -> str:
    """Returns a step's seconds by how long its threads spin before they sleep."""
    rows = read("thread_waits")["waits"]
    names = sorted(rows, key=lambda name: int(name) if name.isdecimal() else -1)
    cells = [
        [name if name.isdecimal() else f"({name})", *(f"{rows[name][key]:.3f} s" for key in ("alone_s", "beside_s"))]
        for name in names
    ]
    return table(["looks", "a step alone", "beside two busy"], cells)
