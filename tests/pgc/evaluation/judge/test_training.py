# SPDX-License-Identifier: Apache-2.0
"""The judge's data and training: labels are true, a resumed training is the uninterrupted one, learning happens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pgc.errors import ConfigError
from pgc.evaluation.judge.data import ExampleSet, ViewBank, material_examples, random_cameras, render_examples
from pgc.evaluation.judge.judge import Judge
from pgc.evaluation.judge.training import JudgeTrainingConfig, held_out_accuracy, train_judge
from pgc.pocket.data.materials import COLORS, MATERIALS

TINY = JudgeTrainingConfig(steps=4, batch=4, seed=1)


def _say(line: str) -> None:
    """A report that nobody reads."""


def _examples(count: int = 8) -> ExampleSet:
    generator = torch.Generator().manual_seed(0)
    return ExampleSet(
        inputs=torch.randint(0, 256, (count, 4, 32, 32), generator=generator, dtype=torch.uint8),
        colors=torch.arange(count) % len(COLORS),
        materials=torch.arange(count) % len(MATERIALS),
    )


def _wall(views: int = 2, size: int = 48) -> ViewBank:
    """Flat squares that face the front."""
    ticks = torch.linspace(-0.7, 0.7, size)
    z, x = torch.meshgrid(-ticks, ticks, indexing="ij")
    position = torch.stack([x, torch.full_like(x, -0.1), z]).expand(views, -1, -1, -1).contiguous()
    normal = torch.tensor([0.0, -1.0, 0.0]).view(1, 3, 1, 1).expand(views, 3, size, size).contiguous()
    return ViewBank(position=position, normal=normal, mask=torch.ones(views, 1, size, size, dtype=torch.bool))


def test_material_pictures_run_through_the_product_in_their_own_colours() -> None:
    examples = material_examples(_wall(), 12, 5, _say)
    assert [COLORS[int(i)] for i in examples.colors] == [*COLORS, COLORS[0]]
    assert [MATERIALS[int(i)] for i in examples.materials] == [MATERIALS[0]] * 11 + [MATERIALS[1]]
    red, blue = examples.inputs[0, :3].float().mean(dim=(1, 2)), examples.inputs[5, :3].float().mean(dim=(1, 2))
    assert red.argmax() == 0
    assert blue.argmax() == 2
    again = material_examples(_wall(), 12, 5, _say)
    assert torch.equal(examples.inputs, again.inputs)
    assert not torch.equal(examples.inputs, material_examples(_wall(), 12, 6, _say).inputs)


def test_an_empty_bank_is_refused() -> None:
    bank = _wall()
    empty = ViewBank(position=bank.position[:0], normal=bank.normal[:0], mask=bank.mask[:0])
    with pytest.raises(ConfigError, match="empty"):
        material_examples(empty, 1, 0, _say)


def test_render_pictures_carry_the_generators_labels() -> None:
    examples = render_examples(11, 2, 3, _say)
    assert examples.colors.tolist() == [0, 1]
    assert examples.materials.tolist() == [1, 1]


def test_random_cameras_look_at_the_mesh_from_outside() -> None:
    cameras = random_cameras(5, np.random.default_rng(0))
    distances = [float(np.linalg.norm(camera.position)) for camera in cameras]
    assert all(2.0 <= distance <= 2.5 for distance in distances)
    for camera in cameras:
        np.testing.assert_allclose(camera.project(np.zeros((1, 3)))[0, :2], 0.0, atol=1e-6)


class _StopError(Exception):
    """A test's own way out of the training loop."""


@pytest.mark.slow
def test_resumed_training_is_the_uninterrupted_one(tmp_path: Path) -> None:
    config, examples = replace(TINY, steps=6, save_every=2), _examples()
    whole = train_judge(config, examples, tmp_path / "whole.safetensors", _say)
    lines: list[str] = []

    def stop(line: str) -> None:
        lines.append(line)
        if len(lines) == 2:
            raise _StopError

    stopped = tmp_path / "stopped.safetensors"
    with pytest.raises(_StopError):
        train_judge(config, examples, stopped, stop)
    lines.clear()
    resumed = train_judge(config, examples, stopped, lines.append)
    assert lines[0].startswith("step 6 of 6"), "it did not go on where it stopped"
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_checkpoints_of_other_settings_are_refused(tmp_path: Path) -> None:
    train_judge(TINY, _examples(), tmp_path / "a.safetensors", _say)
    with pytest.raises(ConfigError, match="other settings"):
        train_judge(replace(TINY, seed=2), _examples(), tmp_path / "a.safetensors", _say)
    with pytest.raises(ConfigError, match="1 or more"):
        replace(TINY, steps=0)


@pytest.mark.slow
def test_training_learns_two_plain_colours(tmp_path: Path) -> None:
    inputs = torch.full((16, 4, 32, 32), 255, dtype=torch.uint8)
    inputs[::2, 1:3], inputs[1::2, 0:2] = 20, 20
    examples = ExampleSet(
        inputs=inputs, colors=torch.tensor([0, 5] * 8), materials=torch.full((16,), MATERIALS.index("plain"))
    )
    config = replace(TINY, steps=25, batch=16, learning_rate=5e-3)
    network = train_judge(config, examples, tmp_path / "a.safetensors", _say)
    accuracy = held_out_accuracy(Judge(network, COLORS, MATERIALS), examples, augmented=True)
    assert accuracy["color"].share == 1.0
    assert accuracy["material"].share == 1.0
