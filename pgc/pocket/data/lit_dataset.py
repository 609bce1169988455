# SPDX-License-Identifier: Apache-2.0
"""The lit training set on disk: shards as in ``dataset``, with the known materials' picture beside the depth.

A shard is ``NNNN.image.npy`` uint8 [n, S, S, 3], ``NNNN.depth.npy`` float16 [n, S, S], ``NNNN.shading.npy`` uint8
[n, S, S, C] and ``NNNN.json``, written last.
"""

import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pgc.pocket.data.lit_render import LitRenderConfig, render_lit
from pgc.whole_files import write_array, write_text

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LitDataConfig:
    """Size and seed of the lit set; ``materials`` pictures come of every scene."""

    scenes: int = 3360
    seed: int = 23
    shard: int = 60
    render: LitRenderConfig = field(default_factory=LitRenderConfig)


@dataclass(frozen=True)
class LitSet:
    """The lit set in memory; arrays are those of the shards."""

    images: NDArray[np.uint8]  # [N, S, S, 3]
    depths: NDArray[np.float16]  # [N, S, S]
    shading: NDArray[np.uint8]  # [N, S, S, C]
    captions: list[str]


def write_lit_shard(number: int, folder: Path, config: LitDataConfig) -> None:
    """Renders one shard unless it is there already."""
    done = folder / f"{number:04d}.json"
    if done.exists():
        return
    first = number * config.shard
    scenes = range(first, min(first + config.shard, config.scenes))
    samples = [sample for scene in scenes for sample in render_lit(scene, config.seed, config.render)]
    write_array(folder / f"{number:04d}.image.npy", np.stack([sample.image for sample in samples]))
    write_array(folder / f"{number:04d}.depth.npy", np.stack([sample.depth for sample in samples]).astype(np.float16))
    write_array(folder / f"{number:04d}.shading.npy", np.stack([sample.shading for sample in samples]))
    labels = [
        {"caption": sample.caption, "kind": sample.kind, "finish": sample.finish, "lighting": sample.lighting}
        for sample in samples
    ]
    write_text(done, json.dumps({"first": first, "samples": labels}))
    _LOG.info("lit shard %d: %d images", number, len(samples))


def generate_lit(folder: Path, config: LitDataConfig) -> None:
    """Renders every missing shard."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "config.json", json.dumps(asdict(config), indent=1))
    for number in range(-(-config.scenes // config.shard)):
        write_lit_shard(number, folder, config)


def load_lit_captions(folder: Path) -> list[str]:
    """Loads the captions of all complete shards, in order."""
    return [entry["caption"] for path in _complete(folder) for entry in json.loads(path.read_text())["samples"]]


def _complete(folder: Path) -> list[Path]:
    complete = sorted(folder.glob("[0-9]*.json"))
    if not complete:
        raise FileNotFoundError(f"No complete lit shard in {folder}; run `python -m pgc.pocket extend` first.")
    return complete


def load_lit(folder: Path) -> LitSet:
    """Reads all complete shards, in order."""
    complete = _complete(folder)

    def joined(part: str) -> np.ndarray:
        """Reads one part of all shards as one array."""
        return np.concatenate([np.load(path.with_suffix(f".{part}.npy"), mmap_mode="r") for path in complete])

    captions = [entry["caption"] for path in complete for entry in json.loads(path.read_text())["samples"]]
    return LitSet(joined("image"), joined("depth"), joined("shading"), captions)
