# SPDX-License-Identifier: Apache-2.0
"""Prompt embeddings, conditions, guidance arithmetic and the conversion to ε."""

from __future__ import annotations

import pytest
import torch

from pgc.errors import GuidanceError
from pgc.guidance.base import Conditions, NoisePrediction, PredictionType, PromptEmbedding, epsilon_from_prediction


def embedding(rows: int, *, pooled: bool = False, start: float = 0.0) -> PromptEmbedding:
    values = start + torch.arange(rows * 6, dtype=torch.float32).reshape(rows, 2, 3)
    return PromptEmbedding(hidden_states=values, pooled=values[:, 0] if pooled else None)


def test_repeat_select_and_cat_keep_rows_in_order() -> None:
    two = embedding(2, pooled=True)
    assert two.batch == 2
    assert torch.equal(two.repeat(2).hidden_states, two.hidden_states[[0, 1, 0, 1]])
    picked = two.select([1, 1, 0])
    assert picked.pooled is not None
    assert two.pooled is not None
    assert torch.equal(picked.hidden_states, two.hidden_states[[1, 1, 0]])
    assert torch.equal(picked.pooled, two.pooled[[1, 1, 0]])
    joined = PromptEmbedding.cat([embedding(1), embedding(1, start=100.0)])
    assert joined.pooled is None
    assert joined.hidden_states[:, 0, 0].tolist() == [0.0, 100.0]


@pytest.mark.parametrize("parts", [[], [embedding(1), embedding(1, pooled=True)]], ids=["none", "mixed"])
def test_cat_refuses_embeddings_of_different_models(parts: list[PromptEmbedding]) -> None:
    with pytest.raises(GuidanceError, match="same guidance"):
        PromptEmbedding.cat(parts)


def test_pooled_rows_must_match() -> None:
    with pytest.raises(GuidanceError, match="2 rows of tokens and 1 pooled"):
        PromptEmbedding(hidden_states=torch.zeros(2, 3, 4), pooled=torch.zeros(1, 4))


def test_repeat_needs_a_count() -> None:
    with pytest.raises(GuidanceError, match="0 times"):
        embedding(1).repeat(0)


def test_conditions_need_a_negative_for_every_prompt() -> None:
    with pytest.raises(GuidanceError, match="2 prompts and 1 negative"):
        Conditions(prompt=embedding(2), negative=embedding(1))


def test_depth_needs_its_mask() -> None:
    with pytest.raises(GuidanceError, match="together"):
        Conditions(prompt=embedding(1), negative=embedding(1), depth=torch.ones(1, 1, 4, 4))


def test_shading_needs_depth() -> None:
    with pytest.raises(GuidanceError, match="without depth"):
        Conditions(prompt=embedding(1), negative=embedding(1), shading=torch.ones(1, 9, 4, 4))


def test_guided_follows_diffusers_convention() -> None:
    # The official code's example: ε_t = .2, ε_u = .1, its s = 100 gives 10.2, which is 101 here.
    prediction = NoisePrediction(cond=torch.full((1, 1, 1, 1), 0.2), uncond=torch.full((1, 1, 1, 1), 0.1))
    assert prediction.guided(101.0).item() == pytest.approx(10.2, abs=1e-5)
    assert prediction.guided(1.0).item() == pytest.approx(0.2, abs=1e-7)
    assert prediction.guided(0.0).item() == pytest.approx(0.1, abs=1e-7)


def test_every_prediction_type_gives_back_the_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64)
    alpha = torch.tensor([0.9, 0.2], dtype=torch.float64)
    a, s = alpha.sqrt()[:, None, None, None], (1 - alpha).sqrt()[:, None, None, None]
    noisy = a * clean + s * noise
    predictions: dict[PredictionType, torch.Tensor] = {
        "epsilon": noise,
        "v_prediction": a * noise - s * clean,
        "sample": clean,
    }
    for prediction_type, prediction in predictions.items():
        converted = epsilon_from_prediction(prediction, noisy, alpha, prediction_type)
        assert torch.allclose(converted, noise, atol=1e-12), prediction_type


def test_v_prediction_by_hand() -> None:
    # ᾱ = .36: √ᾱ = .6, √(1 - ᾱ) = .8; ε = .6·2 + .8·5 = 5.2.
    epsilon = epsilon_from_prediction(
        torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 5.0), torch.tensor([0.36]), "v_prediction"
    )
    assert epsilon.item() == pytest.approx(5.2, abs=1e-6)
