# SPDX-License-Identifier: Apache-2.0
"""The pictures on disk: memory-mappable shards, made again from their seed wherever they are wanted.

A shard is ``NNNN.image.npy`` uint8 [n, S, S, 3], ``NNNN.depth.npy`` float16 [n, S, S] (0 off the object),
``NNNN.shading.npy`` uint8 [n, S, S, 9], ``NNNN.truth.npy`` uint8 [n, S, S, 5] and ``NNNN.json`` with the captions,
written last: a shard whose JSON is there is complete.
"""

import json
import logging
from collections.abc import Container
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pgc.pocket.data.dataset import run_shards
from pgc.pocket.scenes.picture import SceneConfig, ScenePicture, render_scene
from pgc.pocket.swatches.draw import Split
from pgc.whole_files import write_array, write_text

__all__ = ["SceneSet", "SceneSetConfig", "load_scenes", "make_scenes", "write_scene_shard"]

_LOG = logging.getLogger(__name__)
_PARTS = ("image", "depth", "shading", "truth")


@dataclass(frozen=True)
class SceneSetConfig:
    """Size of a set; its seeds follow from ``split``."""

    split: Split = "train"
    scenes: int = 6000
    shard: int = 40
    scene: SceneConfig = field(default_factory=SceneConfig)


@dataclass(frozen=True)
class SceneSet:
    """Part of a set, shard by shard and mapped from disk."""

    images: list[NDArray[np.uint8]]
    depths: list[NDArray[np.float16]]
    shadings: list[NDArray[np.uint8]]
    truths: list[NDArray[np.uint8]]
    labels: list[dict[str, str]]

    @property
    def count(self) -> int:
        """Pictures in all."""
        return len(self.labels)

    def place(self, index: int) -> tuple[int, int]:
        """Returns (shard, row) of picture ``index``."""
        for shard, images in enumerate(self.images):
            if index < len(images):
                return shard, index
            index -= len(images)
        raise IndexError(f"Picture {index} past the last shard; the set has {self.count}.")


def _labels(picture: ScenePicture) -> dict[str, str]:
    first, other = picture.drawn.first, picture.drawn.other
    return {
        "caption": picture.caption, "material": first.recipe.name, "color": first.color, "second": first.second,
        "scale": first.scale, "finish": first.finish or "", "other": other.recipe.name if other else "",
        "layout": picture.drawn.layout if other else "", "shape": picture.shape, "view": picture.view,
        "light": "flat" if picture.flat else "environment",
    }  # fmt: skip


def write_scene_shard(number: int, folder: Path, config: SceneSetConfig) -> None:
    """Renders one shard unless it is there already."""
    done = folder / f"{number:04d}.json"
    if done.exists():
        return
    first = number * config.shard
    scenes = range(first, min(first + config.shard, config.scenes))
    pictures = [picture for scene in scenes for picture in render_scene(scene, config.split, config.scene)]
    for part in _PARTS:
        rows = np.stack([getattr(picture, part) for picture in pictures])
        write_array(folder / f"{number:04d}.{part}.npy", rows.astype(np.float16) if part == "depth" else rows)
    write_text(done, json.dumps({"first": first, "samples": [_labels(picture) for picture in pictures]}))
    _LOG.info("shard %d: %d pictures", number, len(pictures))


def make_scenes(folder: Path, config: SceneSetConfig, processes: int = 1) -> None:
    """Renders every missing shard of a set."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "config.json", json.dumps(asdict(config), indent=1))
    shards = range(-(-config.scenes // config.shard))
    run_shards(partial(write_scene_shard, folder=folder, config=config), shards, processes)


def load_scenes(folder: Path, only: Container[str] | None = None) -> SceneSet:
    """Loads all complete shards, in order, or those whose number as in the file's name is in ``only``.

    Arrays stay on disk until they are read.
    """
    complete = sorted(path for path in folder.glob("[0-9]*.json") if only is None or path.stem in only)
    if not complete:
        raise FileNotFoundError(f"No complete shard in {folder}; run `python -m pgc.pocket.scenes data` first.")
    parts = {part: [np.load(path.with_suffix(f".{part}.npy"), mmap_mode="r") for path in complete] for part in _PARTS}
    labels = [entry for path in complete for entry in json.loads(path.read_text(encoding="utf-8"))["samples"]]
    return SceneSet(parts["image"], parts["depth"], parts["shading"], parts["truth"], labels)
