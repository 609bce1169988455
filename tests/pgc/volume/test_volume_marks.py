# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of volumes belong to runs: those that earlier versions began go on, those of another mesh do not.

The marks were written by the version before `OptimizeConfig.front_scale`, and stay as they are.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pgc.errors import CheckpointError
from pgc.guidance.specs import PocketSpec, StableDiffusionSpec
from pgc.optimization.config import Prompt
from pgc.runs.checkpoint import save_checkpoint
from pgc.volume.request import SavedVolume, VolumeRequest, as_begun
from pgc.volume.settings import VolumeSettings, with_start
from pgc.volume.start import BallStart, MeshStart, NamedStart, StartConfig

BALL = "cf7ae4dd89f4ba781dd24213f0728e7ab5c367ca7525661b170bcba90cec50a1"
SPHERE = "5f65282f11908cc81db5fa2419db93db073c19e24b87356012fdb18e7410ebbd"
BOX = "41aeebe3a906fd951dd67eed4908890a204a178ddc6f8d79271d276376a77f61"


def request_of(start: StartConfig) -> VolumeRequest:
    return VolumeRequest(prompt=Prompt(text="a stone"), settings=VolumeSettings(start=start), prior=PocketSpec())


def checkpoint_of(folder: Path, mark: str) -> Path:
    path = folder / "checkpoint.safetensors"
    save_checkpoint(path, {"texture": torch.ones(1)}, {"request": mark})
    return path


def test_what_an_earlier_version_began_goes_on(tmp_path):
    path = checkpoint_of(tmp_path, BALL)
    request = request_of(BallStart())
    assert SavedVolume(path, request).load()[1]["request"] == BALL
    optimize = replace(request.settings.optimize, front_scale=1.0)
    for other in (replace(request.settings, start=BallStart(radius=0.3)), replace(request.settings, optimize=optimize)):
        with pytest.raises(CheckpointError, match="another prompt, model or other settings"):
            SavedVolume(path, replace(request, settings=other)).load()
    assert SavedVolume(path, request).marks[0] != BALL, "what is off is not told"


def test_a_soft_shape_of_an_earlier_version_goes_on_soft(tmp_path):
    path = checkpoint_of(tmp_path, SPHERE)
    soft = replace(request_of(NamedStart(shape="sphere")), prior=StableDiffusionSpec())
    now = replace(soft, settings=with_start(soft.settings, soft.settings.start))
    assert as_begun(now, path) == soft != now
    assert SavedVolume(path, soft).load()[1]["request"] == SPHERE


def test_a_mesh_that_was_edited_meanwhile_is_another_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("box.obj").write_text("v 0 0 0")
    request = request_of(MeshStart(path=Path("box.obj")))
    assert SavedVolume(checkpoint_of(tmp_path, BOX), request).load()[1]["request"] == BOX, "of an earlier version"
    path = checkpoint_of(tmp_path, SavedVolume(tmp_path, request).marks[0])
    SavedVolume(path, request).load()
    Path("box.obj").write_text("v 0 0 1")
    with pytest.raises(CheckpointError, match="another prompt, model or other settings"):
        SavedVolume(path, request).load()
