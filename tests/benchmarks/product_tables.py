# SPDX-License-Identifier: Apache-2.0
"""Tables of how the product does on others' files, under faults and load, and in Blender."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.benchmarks.markdown import percent, table

__all__ = ["blender", "fuzzing", "kills", "meshes", "models", "mutation", "server", "steps"]

VERDICTS = {
    "kept": "textured in their own UVs",
    "filled": "faces without usable UVs get some",
    "new": "a new UV map is made beside theirs",
}
"""What is done with a model's UVs, by the word in the result file."""


def meshes(read: Callable[[str], Any]) -> str:
    """Returns how files of others compare with what Blender reads of them."""
    gltf, others = read("mesh_conformance_gltf"), read("mesh_conformance_obj_ply_stl")
    refused = sum("error" in one["ours"] and "error" in one["blender"] for one in gltf["files"].values())
    rows = [
        ["glTF", str(gltf["n"]), str(gltf["same"] - refused), str(refused), str(gltf["n"] - gltf["same"])],
        ["OBJ, PLY, STL", str(others["n"]), str(others["same"]), "0", str(others["n"] - others["same"])],
    ]
    return table(
        ["files of assimp-testmodels", "files", "same as Blender", "refused by both", "differ, with reasons"], rows
    )


def models(read: Callable[[str], Any]) -> str:
    """Returns what became of the CC0 models: their UVs and the error of a known pattern."""
    result = read("furniture")
    by_verdict: dict[str, list[float]] = {}
    for row in result["rows"]:
        by_verdict.setdefault(row["done"], []).append(row["error"])
    rows = [
        [VERDICTS[word], str(len(errors)), f"{_median(errors):.3f}", f"{max(errors):.3f}"]
        for word, errors in ((word, by_verdict[word]) for word in VERDICTS if word in by_verdict)
    ]
    summary = result["summary"]
    rows.append(["all", str(summary["n"]), f"{summary['median_error']:.3f}", f"{summary['worst_error']:.3f}"])
    return table(["models", "count", "error of a known pattern, median", "worst"], rows)


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def fuzzing(read: Callable[[str], Any]) -> str:
    """Returns how many damaged inputs were tried, and what failed."""
    mesh, image, wire = read("fuzz_meshes"), read("fuzz_images"), read("fuzz_protocol")
    rows = [
        [
            "mesh files",
            f"{mesh['cases']:,}",
            f"{mesh['by_answer']['failed']}, since mended",
            f"{mesh['cases_of_the_last_commit']:,}",
        ],
        ["image files", f"{image['cases']:,}", str(image["failure_count"]), f"{image['cases']:,}"],
        ["messages of the protocol", f"{wire['cases']:,}", str(len(wire["failures"])), f"{wire['cases']:,}"],
    ]
    return table(["damaged", "cases", "failures", "cases since the last failure"], rows)


def kills(read: Callable[[str], Any]) -> str:
    """Returns what 200 kills of four processes cost."""
    rows = [
        [
            victim,
            str(found["killed"]),
            str(found["lost"]),
            str(found["twice"]),
            f"{found['work_lost_most_s']:.2f} s",
            "–" if found["return_most_s"] is None else f"{found['return_most_s']:.2f} s",
        ]
        for victim, found in read("faults")["by_victim"].items()
    ]
    return table(["killed", "times", "jobs lost", "done twice", "most work lost", "client back after, most"], rows)


def server(read: Callable[[str], Any]) -> str:
    """Returns what the server does under load: answers, cancels, transfers, memory."""
    load, cancel, bulk = read("server_load"), read("server_cancel"), read("server_bulk")
    number = load["load"]
    crowd = (
        f"{number['clients']} clients, {number['queued']} queued jobs, {number['streams']} streams of previews, "
        "one that reads nothing"
    )
    hang = max(value for values in cancel["hang_gone_s"].values() for value in values)
    rows = [
        ["answer of the control channel, 99 of 100", f"{load['with_slow']['control_ms']['p99']:.0f} ms", crowd],
        ["the broker's memory", f"{load['broker_resident_mib']:.0f} MiB", "the same"],
        [
            "cancel to its end, 95 of 100",
            f"{cancel['cancel_ms']['p95']:.0f} ms",
            f"{cancel['cancels']} at random moments",
        ],
        ["a worker that hangs in C is gone after", f"{hang:.1f} s", "the longest of nine"],
        ["upload, of a bare encrypted stream", percent(bulk["up"]["share_median"]), "a mesh of 5 million triangles"],
        ["download, of a bare encrypted stream", percent(bulk["down"]["share_median"]), "four maps of 4096²"],
        [
            "answers meanwhile, others, 99 of 100",
            f"{bulk['control_meanwhile_ms']['other_clients']['p99']:.0f} ms",
            "both",
        ],
    ]
    return table(["", "measured", "with"], rows)


def blender(read: Callable[[str], Any]) -> str:
    """Returns what Blender's main thread feels."""
    old, new = read("blender-main-thread"), read("blender-main-thread-5.2")
    names = {
        "tick_p99_ms": "a tick while previews of 1024² stream in, 99 of 100",
        "longest_block_ms": "the longest block, four maps of 4096² arrive",
        "draw_p50_ms": "drawing the panel among 1,000 objects",
        "click_to_accepted_p50_ms": "from the click to the accepted job, 100,000 triangles",
    }
    rows = [
        [title, *(f"{one['figures'][key]:.1f}" for one in (old, new)), f"{new['promised'][key]:.0f}"]
        for key, title in names.items()
    ]
    return table(["ms", *(f"Blender {one['versions']['blender']}" for one in (old, new)), "promised"], rows)


def steps(read: Callable[[str], Any]) -> str:
    """Returns how much of a step is not the diffusion model."""
    two, one = read("step"), read("step-one-thread")
    rows = [
        [
            name,
            percent(result["pocket"]["median_share_outside_guidance"]),
            percent(result["sdxl"]["share_outside_guidance"], 1),
        ]
        for name, result in (("two threads", two), ("one thread", one))
    ]
    return table(
        [
            "share of a step outside the model",
            "built-in model (first edition)",
            "a model of SDXL's size, by counted FLOPs",
        ],
        rows,
    )


def mutation(read: Callable[[str], Any]) -> str:
    """Returns how many small changes the tests of a room notice, of a sample that a seed drew."""
    rooms: dict[str, list[dict[str, Any]]] = {}
    for module, found in read("mutation").items():
        rooms.setdefault(module.rpartition("/")[0], []).append(found)
    rows = [_of_rooms(name, found) for name, found in sorted(rooms.items())]
    rows.append(_of_rooms("all", [one for found in rooms.values() for one in found]))
    return table(["modules of", "modules", "changes", "noticed", "", "left and explained"], rows)


def _of_rooms(name: str, found: list[dict[str, Any]]) -> list[str]:
    changes, noticed = sum(one["mutants"] for one in found), sum(one["noticed"] for one in found)
    explained = sum(bool(left["reason"]) for one in found for left in one["survivors"])
    return [name, str(len(found)), str(changes), str(noticed), percent(noticed / changes), str(explained)]
