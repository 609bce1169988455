# SPDX-License-Identifier: Apache-2.0
"""The judge's eyes, votes and file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pgc.errors import ConfigError
from pgc.evaluation.judge.augment import augment
from pgc.evaluation.judge.judge import JUDGE_FILE, Judge, JudgeNetwork, judge_input, load_judge, save_judge
from pgc.pocket.data.materials import COLORS, MATERIALS


def _disc(background: float, size: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """A red disc away from the middle, on a background that must not matter."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    mask = ((x - 12) ** 2 + (y - 25) ** 2 < 64)[None, None]
    image = torch.full((1, 3, size, size), background)
    image = torch.where(mask, torch.tensor([0.9, 0.1, 0.1]).view(1, 3, 1, 1), image)
    return image, mask


def test_input_cuts_the_object_out_whatever_is_behind_it() -> None:
    for background in (0.0, 1.0):
        image, mask = _disc(background)
        seen = judge_input(image, mask, 32)
        assert seen.shape == (1, 4, 32, 32)
        # The middle is the object, the corners are mid-gray with an empty mask.
        torch.testing.assert_close(seen[0, :, 16, 16], torch.tensor([0.9, 0.1, 0.1, 1.0]), atol=1e-5, rtol=0)
        torch.testing.assert_close(seen[0, :, 0, 0], torch.tensor([0.5, 0.5, 0.5, 0.0]), atol=1e-5, rtol=0)
        # The disc touches all four sides of the square.
        assert all(
            bool((edge > 0.2).any()) for edge in (seen[0, 3, 0], seen[0, 3, -1], seen[0, 3, :, 0], seen[0, 3, :, -1])
        )
    black, white = judge_input(*_disc(0.0), 32), judge_input(*_disc(1.0), 32)
    torch.testing.assert_close(black, white)


def test_input_keeps_the_aspect_of_long_objects() -> None:
    mask = torch.zeros(1, 1, 40, 40, dtype=torch.bool)
    mask[..., 10:14, 3:37] = True
    seen = judge_input(torch.zeros(1, 3, 40, 40), mask, 32)[0, 3]
    assert float(seen[16].mean()) == pytest.approx(1.0, abs=0.05)
    assert float(seen[:8].max()) == 0.0


def test_pictures_without_an_object_are_refused() -> None:
    with pytest.raises(ConfigError, match="without an object"):
        judge_input(torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.bool))


class _Fixed(JudgeNetwork):
    """Says what it is told: one row of logits a picture."""

    def __init__(self, color: torch.Tensor, material: torch.Tensor) -> None:
        super().__init__()
        self.said = (color, material)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.said


def test_verdict_is_the_majority_over_the_views() -> None:
    color = torch.full((3, len(COLORS)), -5.0)
    color[0, COLORS.index("red")] = color[1, COLORS.index("red")] = 1.0
    color[2, COLORS.index("blue")] = 9.0
    material = torch.full((3, len(MATERIALS)), -5.0)
    material[:, MATERIALS.index("wood")] = 3.0
    image, mask = _disc(0.0)
    judge = Judge(_Fixed(color, material), COLORS, MATERIALS)
    verdict = judge.verdict(image.expand(3, -1, -1, -1), mask.expand(3, -1, -1, -1))
    assert (verdict.color, verdict.material) == ("red", "wood")
    assert verdict.view_colors == ("red", "red", "blue")
    expected = color.softmax(dim=1)[:, COLORS.index("red")].mean()
    assert verdict.color_confidence == pytest.approx(float(expected))


def test_a_saved_judge_answers_as_before(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = JudgeNetwork()
    network.train()
    network(torch.rand(8, 4, 32, 32))  # running statistics that are not the initial ones
    save_judge(tmp_path / "judge.safetensors", network, {"note": 1})
    inputs = torch.rand(4, 4, 32, 32)
    loaded = load_judge(tmp_path / "judge.safetensors")
    for before, after in zip(
        Judge(network, COLORS, MATERIALS).probabilities(inputs), loaded.probabilities(inputs), strict=True
    ):
        torch.testing.assert_close(before, after, atol=2e-3, rtol=0)


def test_missing_and_foreign_judges_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="train-judge"):
        load_judge(tmp_path / "absent.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match="expected"):
        load_judge(tmp_path / "other.safetensors")


def test_the_shipped_judge_is_small() -> None:
    assert JUDGE_FILE.stat().st_size <= 2_000_000
    assert load_judge().colors == COLORS


def test_augmentation_varies_the_object_and_leaves_the_backdrop() -> None:
    inputs = judge_input(*_disc(0.0)).expand(6, -1, -1, -1)
    first = augment(inputs, torch.Generator().manual_seed(1))
    assert first.shape == inputs.shape
    assert float(first.min()) >= 0.0
    assert float(first.max()) <= 1.0
    torch.testing.assert_close(first, augment(inputs, torch.Generator().manual_seed(1)))
    assert not torch.equal(first[0], first[1])
    outside = first[:, 3:] == 0.0
    assert bool(outside.any())
    backdrop = first[:, :3][outside.expand(-1, 3, -1, -1)]
    torch.testing.assert_close(backdrop, torch.full_like(backdrop, 0.5))
    # Red stays red: that is what makes the labels true.
    inside = (first[:, 3:] > 0.99).expand(-1, 3, -1, -1)
    means = [(first[i, c][inside[i, c]]).mean() for i in range(6) for c in range(3)]
    assert all(means[3 * i] > 2.0 * max(means[3 * i + 1], means[3 * i + 2]) for i in range(6))
