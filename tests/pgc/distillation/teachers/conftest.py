# SPDX-License-Identifier: Apache-2.0
"""Tiny checkpoints with random weights: Stable Diffusion 1.5, 2.1 (v-prediction) and XL, SD3, FLUX.1 and Z-Image."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pgc.guidance.base import Guidance
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.specs import SDXLSpec, StableDiffusionSpec, load_guidance, parse_guidance
from tests.pgc.guidance.conftest import write_model
from tests.pgc.guidance.flow_models import FLOWS, write_flow

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


@pytest.fixture(scope="session")
def flow_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write_flow(tmp_path_factory.mktemp("flow") / name, name) for name in FLOWS}


@pytest.fixture(scope="session")
def flows(flow_folders: dict[str, Path]) -> dict[str, Guidance]:
    run = LatentDiffusionConfig(image_size=32)
    return {
        name: load_guidance(parse_guidance(str(folder), run), torch.device("cpu"))
        for name, folder in flow_folders.items()
    }
