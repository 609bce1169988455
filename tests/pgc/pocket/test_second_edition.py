# SPDX-License-Identifier: Apache-2.0
"""From the first edition to the second: nothing is lost on the way, and what training is shown is what it says."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pgc.pocket.conditioning import lit_condition
from pgc.pocket.data.captions import vocabulary
from pgc.pocket.data.lit_captions import lit_vocabulary
from pgc.pocket.training.state import TrainState
from pgc.pocket.training.tokenizer import MAX_LENGTH, load_tokenizer, write_tokenizer
from pgc.pocket.training.train_diffusion import DiffusionConfig, LatentSet, Networks, build_networks
from pgc.pocket.training.train_lit import LitLatents, LitTrainConfig, draw_batch, first_weights, retokenized, tokens_of
from pgc.pocket.training.widen import widened, widened_networks

NARROW = DiffusionConfig(channels=(16, 32, 32), heads=(2, 2, 2), text_width=32, text_layers=1, latent_size=4)
WIDE = replace(NARROW, depth_channels=(16, 24, 40, 100), condition_channels=12)
PROMPTS = ["a red brick cube, flat lighting", "blue wooden vase, front view", "", "a scaly thing"]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    write_tokenizer(first)
    write_tokenizer(second, lit_vocabulary())
    return first, second


@pytest.fixture(scope="module")
def first(tokenizers: tuple[Path, Path]) -> Networks:
    networks = build_networks(NARROW, tokenizers[0]).eval()
    for name, value in networks.named_parameters():
        # A fresh ControlNet is silent, and a silent one proves nothing.
        if value.ndim > 1 and "controlnet" in name:
            torch.nn.init.normal_(value, std=0.1, generator=torch.Generator().manual_seed(len(name)))
    return networks


def question(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    noisy = torch.randn((4, 8, 4, 4), generator=generator)
    depth = torch.rand((4, 1, 32, 32), generator=generator).expand(-1, 3, -1, -1)
    return noisy, torch.tensor([10, 300, 600, 900]), depth


@pytest.mark.slow
def test_old_words_stay_whole_and_new_ones_are(tokenizers: tuple[Path, Path]) -> None:
    second = load_tokenizer(tokenizers[1])
    for group in lit_vocabulary().values():
        for word in group:
            assert len(second(word).input_ids) == 3 or word == "3d", word
    before = load_tokenizer(tokenizers[0])
    assert len(before("polished aluminium").input_ids) > 4
    assert set(before.get_vocab()) - set(second.get_vocab()) == set() or len(second) > len(before)
    for word in (word for group in vocabulary().values() for word in group):
        assert len(second(word).input_ids) == len(before(word).input_ids), word


@pytest.mark.slow
@torch.no_grad()
def test_at_first_the_second_edition_answers_as_the_first(first: Networks, tokenizers: tuple[Path, Path]) -> None:
    weights = dict(first.named_parameters())
    second = widened_networks(weights, tokenizers[0], WIDE, tokenizers[1]).eval()
    noisy, timestep, depth = question()
    expected = first(noisy, timestep, tokens_of(PROMPTS, tokenizers[0]), depth)
    tokens = tokens_of(PROMPTS, tokenizers[1])
    for shading in (None, torch.rand(4, 9, 32, 32)):
        answer = second(noisy, timestep, tokens, lit_condition(depth, shading, 12))
        assert torch.allclose(answer, expected, atol=1e-5)
    # The test can fail: depth matters to both.
    assert not torch.allclose(second(noisy, timestep, tokens, lit_condition(depth * 0, None, 12)), expected, atol=1e-3)


@pytest.mark.slow
def test_one_step_of_training_opens_the_new_channels(first: Networks, tokenizers: tuple[Path, Path]) -> None:
    second = widened_networks(dict(first.named_parameters()), tokenizers[0], WIDE, tokenizers[1])
    noisy, timestep, depth = question()
    tokens = tokens_of(PROMPTS, tokenizers[1])
    told = lit_condition(depth, torch.rand((4, 9, 32, 32), generator=torch.Generator().manual_seed(1)), 12)
    state = TrainState(second, LitTrainConfig().optimizer)
    state.update((second(noisy, timestep, tokens, told) - noisy).square().mean(), 10)
    with torch.no_grad():
        untold = second(noisy, timestep, tokens, lit_condition(depth, None, 12))
        assert float((second(noisy, timestep, tokens, told) - untold).abs().max()) > 1e-6


def test_widened_by_hand() -> None:
    wide = widened(torch.ones(1, 1), torch.full((2, 2), 7.0))
    assert wide.tolist() == [[1.0, 0.0], [7.0, 7.0]]
    assert widened(torch.ones(1), torch.full((2,), 7.0)).tolist() == [1.0, 7.0]
    with pytest.raises(ValueError, match="smaller"):
        widened(torch.ones(3), torch.ones(2))


def test_condition_of_zeros_is_not_told() -> None:
    depth = torch.rand(2, 3, 4, 4)
    untold = lit_condition(depth, None, 12)
    assert untold.shape == (2, 12, 4, 4)
    assert torch.equal(untold[:, :3], depth)
    assert not untold[:, 3:].any()
    assert torch.equal(lit_condition(depth, torch.ones(2, 9, 4, 4), 12)[:, 3:], torch.ones(2, 9, 4, 4))


def sets() -> tuple[LitLatents, LatentSet]:
    """Lit latents are 2, replayed ones 1 (mirrored: -1); depth everywhere; shading white."""
    tokens = torch.arange(MAX_LENGTH).expand(6, -1)
    lit = LitLatents(
        latents=torch.full((6, 8, 4, 4), 2.0).half(),
        depths=torch.full((6, 1, 8, 8), 2.0).half(),
        shading=torch.full((6, 8, 8, 9), 255, dtype=torch.uint8),
        tokens=tokens + 100,
    )
    latents = torch.stack([torch.ones(6, 8, 4, 4), -torch.ones(6, 8, 4, 4)]).half()
    return lit, LatentSet(latents, torch.full((6, 1, 8, 8), 2.0).half(), tokens, torch.full((MAX_LENGTH,), -1))


def test_batches_replay_and_tell_the_light_of_lit_pictures_only() -> None:
    config = LitTrainConfig(drop_caption=0.0, drop_depth=0.0, drop_shading=0.0)
    latents, tokens, condition = draw_batch(*sets(), config, 5)
    assert condition.shape == (config.batch, 12, 8, 8)
    lit = latents[:, 0, 0, 0] == 2.0
    assert int((~lit).sum()) == config.replay
    assert (condition[lit, 3:] == 1.0).all()
    assert not condition[~lit, 3:].any()
    assert (condition[:, 0] > 0).all()
    assert torch.equal(tokens[:, 0] == 100, lit)
    assert set(latents[~lit, 0, 0, 0].tolist()) <= {1.0, -1.0}
    again = draw_batch(*sets(), config, 5)
    assert all(torch.equal(a, b) for a, b in zip((latents, tokens, condition), again, strict=True))
    unmirrored = draw_batch(sets()[0], replace(sets()[1], latents=sets()[1].latents[:1]), config, 5)[0]
    assert (unmirrored[~lit] == 1.0).all()


def test_each_part_of_the_condition_can_be_dropped() -> None:
    keep = LitTrainConfig(drop_caption=0.0, drop_depth=0.0, drop_shading=0.0)
    untold = draw_batch(*sets(), replace(keep, drop_shading=1.0), 5)[2]
    assert not untold[:, 3:].any()
    assert (untold[:, 0] > 0).all()
    assert not draw_batch(*sets(), replace(keep, drop_depth=1.0), 5)[2].any()
    assert (draw_batch(*sets(), replace(keep, drop_caption=1.0), 5)[1] == -1).all()


def test_replayed_captions_are_retokenized(tokenizers: tuple[Path, Path]) -> None:
    captions = [f"a {word} cube" for word in ("red", "blue", "green", "white", "black", "pink")]
    done = retokenized(sets()[1], captions, tokenizers[1])
    assert torch.equal(done.tokens, tokens_of(captions, tokenizers[1]))
    assert torch.equal(done.empty, tokens_of([""], tokenizers[1])[0])
    with pytest.raises(ValueError, match="one each"):
        retokenized(sets()[1], captions[:2], tokenizers[1])


def test_first_weights_are_the_averaged_ones(tmp_path: Path) -> None:
    state = TrainState(torch.nn.Linear(2, 1), LitTrainConfig().optimizer)
    state.average["weight"].fill_(0.25)
    state.save(tmp_path / "state.safetensors", {})
    assert (first_weights(tmp_path / "state.safetensors")["weight"] == 0.25).all()
