# SPDX-License-Identifier: Apache-2.0
"""The loop of the stages: what curves say, when it saves, and that data may grow on the way."""

import json
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from pgc.pocket.training.loop import Curve, Pace, run_steps
from pgc.pocket.training.state import OptimizerConfig, TrainState, read_metadata


def test_curves_are_means_of_stretches() -> None:
    curve = Curve({})
    for value in (1.0, 3.0):
        curve.add({"loss": value})
    curve.close(2)
    curve.add({"loss": 5.0, "psnr": 20.0})
    curve.close(3)
    curve.add({"loss": 6.0})
    curve.close(4)
    assert curve.notes["step"] == [2.0, 3.0, 4.0]
    assert curve.notes["loss"] == [2.0, 5.0, 6.0]
    assert [math.isnan(value) for value in curve.notes["psnr"]] == [True, False, True]
    assert curve.notes["psnr"][1] == 20.0
    assert {len(values) for values in curve.notes.values()} == {3}
    assert min(curve.notes["seconds"]) >= 0.0


def _state() -> TrainState:
    torch.manual_seed(0)
    return TrainState(nn.Linear(2, 2), OptimizerConfig(warmup=1))


def _run(state: TrainState, path: Path, pace: Pace, saves: list[int]) -> None:
    def loss_at(step: int) -> tuple[Tensor, dict[str, float]]:
        target = torch.full((2,), float(step))
        return (state.module(target) - 1.0).square().mean(), {"even": 1.0} if step % 2 == 0 else {}

    run_steps(state, loss_at, path, pace, lambda: saves.append(state.step))


def test_it_saves_by_the_clock_and_at_the_end(tmp_path: Path) -> None:
    often: list[int] = []
    _run(_state(), tmp_path / "often.safetensors", Pace(5, save_seconds=0.0), often)
    assert often == [1, 2, 3, 4, 5]
    seldom: list[int] = []
    _run(_state(), tmp_path / "seldom.safetensors", Pace(5, stop_at=3, save_seconds=1e9), seldom)
    assert seldom == [3]
    assert read_metadata(tmp_path / "seldom.safetensors")["step"] == "3"


def test_it_goes_on_with_its_curve(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    _run(_state(), path, Pace(6, stop_at=4, log_every=2), [])
    again = _state()
    _run(again, path, Pace(6, log_every=2), [])
    assert json.loads(read_metadata(path)["notes"])["step"] == [2.0, 4.0, 6.0]
    straight = _state()
    _run(straight, tmp_path / "straight.safetensors", Pace(6, log_every=2), [])
    assert torch.equal(straight.parameters["weight"], again.parameters["weight"])
