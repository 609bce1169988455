# SPDX-License-Identifier: Apache-2.0
"""Tiny checkpoints with random weights in the formats of Stable Diffusion 1.5, 2.1 (v-prediction) and XL."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pgc.guidance.base import Guidance
from pgc.guidance.specs import SDXLSpec, StableDiffusionSpec, load_guidance
from tests.pgc.guidance.conftest import write_model

TEACHERS = ("sd15", "sd21", "sdxl")


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        name: write_model(
            tmp_path_factory.mktemp(name),
            xl=name == "sdxl",
            prediction_type="v_prediction" if name == "sd21" else "epsilon",
        )
        for name in TEACHERS
    }


@pytest.fixture(scope="session")
def teachers(checkpoints: dict[str, Path]) -> dict[str, Guidance]:
    """Without ControlNets. Whoever trains a part of one trains adapters that are off elsewhere."""
    specs = {
        name: (SDXLSpec if name == "sdxl" else StableDiffusionSpec)(source=str(folder), controlnet=None)
        for name, folder in checkpoints.items()
    }
    return {name: load_guidance(spec, torch.device("cpu")) for name, spec in specs.items()}
