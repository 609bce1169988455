# SPDX-License-Identifier: Apache-2.0
"""The paper's 2D experiment: each way moves the picture as it says, and the sheet shows it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from pgc.cli import app
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.sds import SDSConfig
from pgc.distillation.vsd import VSDConfig
from pgc.errors import ConfigError
from pgc.guidance.base import Guidance
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.playground.picture import ENCODED_WAYS, WAYS, FinishedPicture, PlaygroundConfig, optimize_picture
from pgc.playground.sheet import gradient_picture, sheet_png

CONFIG = PlaygroundConfig(steps=2, distillation=SDSConfig(guidance_scale=15.0))


@pytest.fixture(scope="module")
def teacher() -> Guidance:
    return load_guidance(PocketSpec(), torch.device("cpu"))


@pytest.fixture(scope="module")
def pictures(teacher: Guidance) -> dict[str, FinishedPicture]:
    return {way: optimize_picture(teacher, "red bricks", way, CONFIG) for way in WAYS}


@pytest.mark.slow
def test_each_way_moves_the_gray_picture_its_own_way(pictures: dict[str, FinishedPicture]) -> None:
    for one in pictures.values():
        assert one.image.shape == one.gradient.shape == (1, 3, 128, 128)
        assert bool(torch.isfinite(one.image).all())
        assert 0.0 <= float(one.image.min()) < float(one.image.max()) <= 1.0
    images = [one.image for one in pictures.values()]
    assert all(not torch.equal(a, b) for at, a in enumerate(images) for b in images[:at])


@pytest.mark.slow
def test_only_the_regulated_ways_obey_the_threshold(pictures: dict[str, FinishedPicture]) -> None:
    known = {way: one.statistics for way, one in pictures.items() if one.statistics is not None}
    assert set(known) == set(WAYS) - {"latent"}
    assert known["vae"].clipped_fraction == known["linear"].clipped_fraction == 0.0
    assert known["vae"].maximum_after > 0.1, "nothing to clip: the test would be empty"
    for way in ("pngd", "pgc-n"):
        assert known[way].maximum_after <= 0.1 + 1e-6
        assert known[way].clipped_fraction > 0.0
    assert float(pictures["pgc-v"].gradient.abs().max()) <= 0.1 + 1e-6 < known["pgc-v"].maximum_after


@pytest.mark.slow
def test_the_linear_way_asks_for_smooth_changes(pictures: dict[str, FinishedPicture]) -> None:
    def roughness(gradient: torch.Tensor) -> float:
        """Mean step between neighbours over the mean magnitude."""
        return float(gradient.diff(dim=-1).abs().mean() / gradient.abs().mean())

    assert roughness(pictures["linear"].gradient) < 0.5 * roughness(pictures["vae"].gradient)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_picture(teacher: Guidance, pictures: dict[str, FinishedPicture]) -> None:
    again = optimize_picture(teacher, "red bricks", "pgc-n", CONFIG)
    assert torch.equal(again.image, pictures["pgc-n"].image)


@pytest.mark.slow
def test_a_loss_that_learns_is_one_for_the_whole_picture(teacher: Guidance) -> None:
    steps = PlaygroundConfig(steps=2, distillation=VSDConfig())
    found = optimize_picture(teacher, "red bricks", "pgc-n", steps)
    assert bool(torch.isfinite(found.image).all())
    assert not torch.equal(found.image, optimize_picture(teacher, "red bricks", "pgc-n", CONFIG).image)


def test_a_loss_that_does_not_pass_the_encoder_has_nothing_to_compare() -> None:
    with pytest.raises(ConfigError, match="HiFAConfig sends no gradient through the encoder"):
        PlaygroundConfig(distillation=HiFAConfig(latent_weight=0.0))
    with pytest.raises(ConfigError, match="steps is 0"):
        PlaygroundConfig(steps=0)
    with pytest.raises(ConfigError, match="learning_rate is 0"):
        PlaygroundConfig(learning_rate=0.0)


@pytest.mark.slow
def test_the_sheet_has_a_column_a_way(pictures: dict[str, FinishedPicture]) -> None:
    sheet = np.asarray(Image.open(io.BytesIO(sheet_png(list(pictures.values())))).convert("RGB"))
    assert sheet.shape == (2 * 192 + 6 + 30, 6 * 198 - 6, 3)
    first = np.asarray(
        Image.fromarray(sheet[:192, :192]).resize((128, 128), Image.Resampling.NEAREST), dtype=np.float64
    )
    expected = pictures["latent"].image[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(first - expected).mean() < 8.0, "the picture itself, enlarged"


def test_a_gradient_is_shown_around_gray() -> None:
    gradient = torch.zeros(1, 3, 16, 16)
    gradient[0, 0, :8], gradient[0, 1, 8:] = 0.02, -0.02
    shown = gradient_picture(gradient)
    assert shown[0, 0].tolist() == [255, 128, 128]
    assert shown[15, 0].tolist() == [128, 0, 128]
    assert set(gradient_picture(torch.zeros(1, 3, 4, 4)).flatten().tolist()) == {128}


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    result = CliRunner().invoke(app, ["playground", "red bricks", "--steps", "1", "--out", str(out), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.output.splitlines()[:-1]] == list(WAYS)
    with Image.open(out) as sheet:
        assert sheet.size == (6 * 198 - 6, 2 * 192 + 6 + 30)
    wrong = CliRunner().invoke(app, ["playground", "x", "--loss", "nothing"])
    assert "--loss is 'nothing'; expected one of sds" in " ".join(wrong.output.split())
    for lone in (["--guidance", "oracle"], ["--truth", str(out)]):
        refused = CliRunner().invoke(app, ["playground", "x", *lone])
        assert refused.exit_code == 2
        assert "--truth is the picture that --guidance oracle knows" in " ".join(refused.output.split())


@pytest.mark.slow
def test_the_oracle_knows_a_picture_behind_an_ugly_encoder(tmp_path: Path) -> None:
    known, out = tmp_path / "red.png", tmp_path / "sheet.png"
    Image.new("RGB", (40, 40), (200, 40, 40)).save(known)
    arguments = ["playground", "x", "--guidance", "oracle", "--truth", str(known), "--steps", "2", "--device", "cpu"]
    result = CliRunner().invoke(app, [*arguments, "--guidance-scale", "1", "--clip", "0.001", "--out", str(out)])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()[:-1]
    assert [line.split()[0] for line in lines] == list(ENCODED_WAYS), "no latents: they cannot be decoded"
    assert all(", error 0." in line for line in lines)


def test_the_error_is_the_distance_to_what_the_oracle_knows() -> None:
    oracle = OracleGuidance(OracleConfig(image_size=8), torch.device("cpu"))
    truth = torch.full((1, 3, 16, 16), 0.75)
    one = optimize_picture(oracle, "x", "pgc-n", replace(CONFIG, distillation=SDSConfig(guidance_scale=1.0)), truth)
    assert one.error == pytest.approx(float((one.image - 0.75).square().mean().sqrt()))
    assert 0.0 < one.error < 0.25, "nearer than gray"
