# SPDX-License-Identifier: Apache-2.0
"""The training set on disk: memory-mappable shards of ``render_sample``, made in any order.

A shard is four files: ``NNNN.image.npy`` uint8 [n, S, S, 3], ``NNNN.depth.npy`` float16 [n, S, S]
(0 off the object), and ``NNNN.json`` with captions and labels, written last: a shard whose JSON is
there is complete, so an interrupted run goes on where it stopped.
"""

import json
import logging
import multiprocessing
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pgc.pocket.data.render import RenderConfig, Sample, render_sample
from pgc.whole_files import write_array, write_text

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataConfig:
    """Size and seed of the data set."""

    count: int = 18216
    seed: int = 7
    shard: int = 264
    render: RenderConfig = field(default_factory=RenderConfig)


@dataclass(frozen=True)
class RenderSet:
    """Part of the data set in memory. ``depths`` is 0 off the object."""

    images: NDArray[np.uint8]  # [N, S, S, 3]
    depths: NDArray[np.float16]  # [N, S, S]
    captions: list[str]
    colors: list[str]
    materials: list[str]


def _labels(sample: Sample) -> dict[str, str]:
    return {
        "caption": sample.caption, "color": sample.color, "material": sample.material, "shape": sample.shape,
        "view": sample.view, "lighting": sample.lighting,
    }  # fmt: skip


def write_shard(number: int, folder: Path, config: DataConfig) -> None:
    """Renders one shard unless it is there already."""
    done = folder / f"{number:04d}.json"
    if done.exists():
        return
    first = number * config.shard
    indices = range(first, min(first + config.shard, config.count))
    samples = [render_sample(index, config.seed, config.render) for index in indices]
    write_array(folder / f"{number:04d}.image.npy", np.stack([sample.image for sample in samples]))
    write_array(folder / f"{number:04d}.depth.npy", np.stack([sample.depth for sample in samples]).astype(np.float16))
    write_text(done, json.dumps({"first": first, "samples": [_labels(sample) for sample in samples]}))
    _LOG.info("shard %d: %d images", number, len(samples))


def generate(folder: Path, config: DataConfig, processes: int = 1) -> None:
    """Renders every missing shard of the data set."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "config.json", json.dumps(asdict(config), indent=1))
    shards = range(-(-config.count // config.shard))
    run_shards(partial(write_shard, folder=folder, config=config), shards, processes)


def run_shards(work: Callable[[int], None], shards: range, processes: int) -> None:
    """Calls `work` for every shard's number, in as many processes as are wanted; in this one where one is."""
    if processes <= 1:
        for number in shards:
            work(number)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(work, shards, chunksize=1)


def load_captions(folder: Path) -> list[str]:
    """Loads the captions of all complete shards, in order."""
    return [entry["caption"] for path in _complete(folder) for entry in _labels_of(path)]


def _complete(folder: Path) -> list[Path]:
    complete = sorted(folder.glob("[0-9]*.json"))
    if not complete:
        raise FileNotFoundError(f"No complete shard in {folder}; run `python -m pgc.pocket data` first.")
    return complete


def _labels_of(path: Path) -> list[dict[str, str]]:
    labels: list[dict[str, str]] = json.loads(path.read_text())["samples"]
    return labels


def load(folder: Path, limit: int | None = None) -> RenderSet:
    """Reads all complete shards, in order (the first ``limit`` of them when given)."""
    complete = _complete(folder)[:limit]
    labels = [entry for path in complete for entry in _labels_of(path)]
    return RenderSet(
        images=np.concatenate([np.load(path.with_suffix(".image.npy"), mmap_mode="r") for path in complete]),
        depths=np.concatenate([np.load(path.with_suffix(".depth.npy"), mmap_mode="r") for path in complete]),
        captions=[entry["caption"] for entry in labels],
        colors=[entry["color"] for entry in labels],
        materials=[entry["material"] for entry in labels],
    )
