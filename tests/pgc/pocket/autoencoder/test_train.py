# SPDX-License-Identifier: Apache-2.0
"""A reduced run of the autoencoder's stage: it learns, goes on where it stopped, and its weights load."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pgc.pocket.autoencoder.measure import measured
from pgc.pocket.autoencoder.network import AutoencoderShape
from pgc.pocket.autoencoder.train import AutoencoderConfig, crops, load_trained, train_autoencoder
from pgc.pocket.data.render import RenderConfig
from pgc.pocket.scenes.picture import SceneConfig
from pgc.pocket.scenes.shards import SceneSetConfig, load_scenes, make_scenes
from pgc.pocket.training.state import OptimizerConfig, load_average, read_metadata
from pgc.pocket.training.train_vae import to_input

SHAPE = AutoencoderShape((8, 16, 24), 4)
SMALL = AutoencoderConfig(
    shape=SHAPE, steps=24, crop_batch=2, crop=16, whole_batch=1, log_every=4, save_seconds=0.0,
    optimizer=OptimizerConfig(learning_rate=4e-3, matrix_rate=8e-3, warmup=3, ema_decay=0.8),
)  # fmt: skip


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    scene = SceneConfig(render=RenderConfig(size=32, focal=(0.95, 1.6)), materials=2, flat_share=1.0)
    make_scenes(folder, SceneSetConfig(scenes=3, shard=2, scene=scene))
    return folder


def weights(path: Path) -> dict[str, torch.Tensor]:
    module = load_trained(path, SHAPE)
    return dict(module.named_parameters())


@pytest.mark.slow
def test_training_goes_on_where_it_stopped(scenes: Path, tmp_path: Path) -> None:
    straight = train_autoencoder(scenes, tmp_path / "straight", SMALL)
    train_autoencoder(scenes, tmp_path / "halves", SMALL, stop_at=10)
    halves = train_autoencoder(scenes, tmp_path / "halves", SMALL)
    resumed = weights(halves)
    for name, value in weights(straight).items():
        assert torch.equal(value, resumed[name]), name
    assert read_metadata(halves)["step"] == "24"
    curves = json.loads(read_metadata(halves)["notes"])
    assert curves["step"] == [4.0, 8.0, 12.0, 16.0, 20.0, 24.0]
    assert {len(values) for values in curves.values()} == {6}
    assert {"loss", "psnr", "tail", "seconds"} <= set(curves)


@pytest.mark.slow
def test_training_learns(scenes: Path, tmp_path: Path) -> None:
    data = load_scenes(scenes)
    images = to_input(np.array(data.images[0]))
    config = replace(SMALL, steps=60, optimizer=replace(SMALL.optimizer, ema_decay=0.95))
    early = train_autoencoder(scenes, tmp_path, config, stop_at=4)
    before = measured(load_trained(early, SHAPE), images)
    after = measured(load_trained(train_autoencoder(scenes, tmp_path, config), SHAPE), images)
    assert after["psnr"] > before["psnr"] + 1.5
    assert after["psnr_noisy"] > before["psnr_noisy"]


def test_crops_show_the_object(scenes: Path) -> None:
    data = load_scenes(scenes)
    batch = crops(data, np.random.default_rng(0), 8, 16)
    assert batch.shape == (8, 3, 16, 16)
    assert float(batch.min()) >= -1.0
    assert float(batch.max()) <= 1.0
    assert torch.equal(batch, crops(data, np.random.default_rng(0), 8, 16))
    assert batch.std(dim=(2, 3)).mean() > 0.03
    whole = crops(data, np.random.default_rng(0), 1, 32)
    assert whole.shape == (1, 3, 32, 32)


def test_another_shape_is_refused(scenes: Path, tmp_path: Path) -> None:
    path = train_autoencoder(scenes, tmp_path, SMALL, stop_at=1)
    with pytest.raises((RuntimeError, KeyError)):
        load_average(path, load_trained(path, AutoencoderShape((8, 16, 32), 4)))
