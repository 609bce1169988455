# SPDX-License-Identifier: Apache-2.0
"""What a model says of its noise, by the configuration of the sampler that it ships with: read right, or refused."""

from __future__ import annotations

import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import diffusers.schedulers
import pytest
import torch
from safetensors.torch import save_file

from pgc.errors import GuidanceError
from pgc.guidance.diffusion.loading import load_components
from pgc.guidance.diffusion.noise_schedule import SCHEDULERS, noise_schedule
from pgc.guidance.sources import single_file_kind

CPU = torch.device("cpu")
LATENT = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}


def _class(name: str) -> Any:
    return getattr(diffusers.schedulers, name)


def _is_there(name: str) -> bool:
    # Some of diffusers' samplers are placeholders without a package that we do not need.
    return "beta_start" in inspect.signature(_class(name).__init__).parameters


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_the_table_holds_the_defaults_of_each_sampler(name: str) -> None:
    if not _is_there(name):
        pytest.skip(f"{name} needs a package that is not installed")
    given = inspect.signature(_class(name).__init__).parameters
    defaults = SCHEDULERS[name]
    found = tuple(given[field].default for field in ("beta_start", "beta_end", "beta_schedule"))
    assert found == (defaults.start, defaults.end, defaults.schedule)
    assert given["num_train_timesteps"].default == 1000
    assert given["prediction_type"].default == "epsilon"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # of diffusers' samplers themselves
@pytest.mark.parametrize("name", sorted(SCHEDULERS))
@pytest.mark.parametrize(
    "settings",
    [
        {},
        LATENT,
        LATENT | {"prediction_type": "v_prediction"},
        {"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 100},
        {"trained_betas": [0.01, 0.02, 0.03]},
    ],
)
def test_noise_is_that_of_the_named_sampler(name: str, settings: dict[str, Any]) -> None:
    if not _is_there(name):
        pytest.skip(f"{name} needs a package that is not installed")
    read = noise_schedule({"_class_name": name, **settings}, "model")
    own = _class(name)(**settings)
    torch.testing.assert_close(read.alphas_cumprod, own.alphas_cumprod.float(), rtol=1e-6, atol=0.0)
    assert read.prediction_type == settings.get("prediction_type", "epsilon")
    assert read.alphas_cumprod.dtype == torch.float32


def test_pure_noise_at_the_last_step_is_that_of_diffusers_euler_sampler() -> None:
    settings = LATENT | {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    read = noise_schedule({"_class_name": "EulerDiscreteScheduler", **settings}, "model")
    own = _class("EulerDiscreteScheduler")(**settings)
    torch.testing.assert_close(read.alphas_cumprod, own.alphas_cumprod, rtol=1e-5, atol=0.0)
    assert read.alphas_cumprod[-1] == 2.0**-24


REFUSED = [
    # Playground 2.5, and the other samplers of EDM.
    ({"_class_name": "EDMDPMSolverMultistepScheduler", "sigma_data": 0.5}, r"EDMDPMSolver.*given by sigmas \(EDM\)"),
    ({"_class_name": "EDMEulerScheduler", "prediction_type": "v_prediction"}, "EDMEuler.*given by sigmas"),
    ({"_class_name": "CosineDPMSolverMultistepScheduler"}, "CosineDPMSolver.*given by sigmas"),
    ({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}, "FlowMatchEuler.*flow-matching"),
    ({"_class_name": "FlowMatchHeunDiscreteScheduler"}, "FlowMatchHeun.*flow-matching"),
    ({"_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": True}, "UniPC.*flow sigmas"),
    ({"_class_name": "DPMSolverMultistepScheduler", "prediction_type": "flow_prediction"}, "DPMSolver.*flow sigmas"),
    (
        {"_class_name": "EulerDiscreteScheduler", "timestep_type": "continuous", "prediction_type": "v_prediction"},
        r"EulerDiscreteScheduler with continuous times \(EDM\)",
    ),
    ({"_class_name": "CMStochasticIterativeScheduler"}, "CMStochasticIterativeScheduler, which pgc does not"),
    ({"_class_name": "DDPMWuerstchenScheduler"}, "DDPMWuerstchenScheduler, which pgc does not"),
    ({"_class_name": "MyOwnScheduler"}, "MyOwnScheduler, which pgc does not understand"),
    ({}, "names no scheduler"),
    ({"_class_name": "DDIMScheduler", "prediction_type": "score"}, "predicts 'score'"),
    ({"_class_name": "DDIMScheduler", "beta_schedule": "sigmoid"}, "beta_schedule 'sigmoid'"),
    ({"_class_name": "DDIMScheduler", "rescale_betas_zero_snr": True}, "epsilon with rescale_betas_zero_snr"),
    ({"_class_name": "DDIMScheduler", "beta_end": 3.0}, "betas of its DDIMScheduler do not lie between 0 and 1"),
    ({"_class_name": "DDIMScheduler", "beta_start": -0.1, "beta_schedule": "linear"}, "do not lie between 0 and 1"),
    ({"_class_name": "DDIMScheduler", "trained_betas": [0.1, float("nan")]}, "do not lie between 0 and 1"),
    ({"_class_name": "DDIMScheduler", "beta_start": "0.1"}, "numbers of its DDIMScheduler cannot be used"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("config", "says"), REFUSED)
def test_a_model_of_another_noise_is_refused_by_name(
    sd15_folder: Path, tmp_path: Path, config: dict[str, Any], says: str
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for part in sd15_folder.iterdir():
        if part.name != "scheduler":
            (model / part.name).symlink_to(part)
    (model / "scheduler").mkdir()
    (model / "scheduler" / "scheduler_config.json").write_text(json.dumps(LATENT | config))
    with pytest.raises(GuidanceError, match=says) as refused:
        load_components(str(model), xl=False, dtype=torch.float32, device=CPU)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_a_zero_snr_model_that_predicts_v_is_loaded(sd21_folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(sd21_folder, model)
    config = LATENT | {
        "_class_name": "EulerDiscreteScheduler",
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
    }
    (model / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    parts = load_components(str(model), xl=False, dtype=torch.float32, device=CPU)
    assert parts.prediction_type == "v_prediction"
    assert parts.alphas_cumprod[-1] == 2.0**-24


def test_latents_that_are_moved_channel_by_channel_are_refused(sd15_folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(sd15_folder, model)
    path = model / "vae" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}))
    with pytest.raises(GuidanceError, match="normalises latents by latents_mean"):
        load_components(str(model), xl=False, dtype=torch.float32, device=CPU)


@pytest.mark.parametrize(
    ("mark", "says"),
    [
        ("edm_mean", "marked 'edm_mean': its noise is given by sigmas"),
        ("edm_vpred.sigma_max", "marked 'edm_vpred.sigma_max': its noise is given by sigmas"),
        ("v_pred", "marked 'v_pred': it predicts v, but a single file"),
        ("ztsnr", "marked 'ztsnr': it predicts v, but a single file"),
    ],
)
def test_a_single_file_that_says_it_is_trained_otherwise_is_refused(tmp_path: Path, mark: str, says: str) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"conditioner.embedders.1.x": torch.zeros(1), mark: torch.zeros(1)}, path)
    with pytest.raises(GuidanceError, match=says):
        single_file_kind(path)
    if mark in ("v_pred", "ztsnr"):
        assert single_file_kind(path, has_settings=True) == "sdxl"
