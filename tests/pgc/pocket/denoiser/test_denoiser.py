# SPDX-License-Identifier: Apache-2.0
"""The stages behind the autoencoder: what a call costs, what a batch shows, and a reduced run of each stage."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.pocket.autoencoder.network import AutoencoderShape, build_autoencoder
from pgc.pocket.data.captions import unknown_words
from pgc.pocket.data.render import RenderConfig
from pgc.pocket.denoiser.config import DenoiserConfig, call_gflop
from pgc.pocket.denoiser.export import export_third
from pgc.pocket.denoiser.latents import LatentShards, cache_latents, load_latents, scaling_of, tokens_of
from pgc.pocket.denoiser.train import TOKENIZER, draw_batch, train_denoiser
from pgc.pocket.scenes.picture import SceneConfig
from pgc.pocket.scenes.shards import SceneSet, SceneSetConfig, make_scenes
from pgc.pocket.swatches.draw import SCALES, draw
from pgc.pocket.swatches.words import caption, vocabulary
from pgc.pocket.training.state import OptimizerConfig, read_metadata
from pgc.pocket.training.tokenizer import END, MAX_LENGTH, load_tokenizer, write_tokenizer
from pgc.pocket.training.train_diffusion import DiffusionConfig
from pgc.pocket.training.train_lit import LitTrainConfig

SHAPE = AutoencoderShape((8, 16, 24), 4)
NETWORKS = DiffusionConfig(
    latent_channels=4, latent_size=8, channels=(16, 32, 32), heads=(2, 2, 2), text_width=32, text_layers=1,
    depth_channels=(8, 12, 16), condition_channels=12,
)  # fmt: skip
SMALL = DenoiserConfig(
    networks=NETWORKS, steps=6, batch=4, save_seconds=0.0, log_every=3,
    optimizer=OptimizerConfig(warmup=2, ema_decay=0.8),
)  # fmt: skip
KEEP = replace(SMALL, batch=64, drop_caption=0.0, drop_condition=0.0, drop_shading=0.0)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder, vocabulary())
    return folder


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    """Pictures, an untrained autoencoder's latents of the first shard, and a trained denoiser's checkpoint."""
    folder = tmp_path_factory.mktemp("stages")
    scene = SceneConfig(render=RenderConfig(size=32, focal=(0.95, 1.6)), materials=2, flat_share=1.0)
    make_scenes(folder / "scenes", SceneSetConfig(scenes=2, shard=1, scene=scene))
    (folder / "autoencoder").write_bytes(b"one")
    torch.manual_seed(0)
    cache_latents(build_autoencoder(SHAPE), folder / "autoencoder", folder / "scenes", folder / "latents")
    shutil.copytree(tokenizer, folder / "out" / TOKENIZER)
    train_denoiser(folder / "scenes", folder / "latents", folder / "out", SMALL)
    return folder


@pytest.mark.slow
def test_a_call_is_no_dearer_than_the_second_edition_s() -> None:
    third, second = call_gflop(DenoiserConfig().networks), call_gflop(LitTrainConfig().networks, reduction=8)
    assert 0.9 * second < third <= second
    # Twice the side without thinner first levels is dearer, so the count sees them.
    wide = replace(DenoiserConfig().networks, depth_channels=(16, 32, 64, 96, 128))
    assert call_gflop(wide) > second
    # Why latents are 16 times narrower: at 8 times a UNet of half the width is dearer already.
    shallow = replace(
        LitTrainConfig().networks,
        latent_size=32,
        channels=(32, 64, 96),
        heads=(1, 2, 3),
        depth_channels=(8, 16, 32, 96),
    )
    assert call_gflop(shallow, reduction=8) > 1.2 * second


@pytest.mark.slow
def test_every_word_is_one_token_and_every_caption_is_read_whole(tokenizer: Path) -> None:
    known = load_tokenizer(tokenizer)
    for word in (word for group in vocabulary().values() for word in group):
        assert len(known(word).input_ids) == 3 or not word.isalpha(), word
    rng = np.random.default_rng(3)
    captions = [caption(rng, draw(rng, "train", two=0.4), "figure", "underside", False) for _ in range(400)]
    assert not any(unknown_words(text, vocabulary()) for text in captions)
    assert all(len(ids) <= MAX_LENGTH for ids in known(captions).input_ids)
    said = " ".join(captions).split()
    assert {scale for scale in SCALES if scale} <= set(said)
    assert any(" and " in text for text in captions)
    assert any("with" in text.split() for text in captions)


def _made_set() -> LatentShards:
    """Two shards of one picture each: the left half is the object, the first one's light is told."""
    depth = np.zeros((1, 32, 32), np.float16)
    depth[:, :, :16] = 2.0
    light = np.zeros((1, 32, 32, 9), np.uint8)
    light[:, :, :16] = 255
    images, truths = np.zeros((1, 32, 32, 3), np.uint8), np.zeros((1, 32, 32, 5), np.uint8)
    scenes = SceneSet([images, images], [depth, depth], [light, 0 * light], [truths, truths], [{}, {}])
    # The first shard's latents are 1 and 2, mirrored, the second's 3 and 4.
    latents = [np.full((2, 1, 4, 8, 8), first, np.float16) for first in (1, 3)]
    for one in latents:
        one[1] += 1.0
    tokens = torch.arange(2)[:, None].expand(2, MAX_LENGTH) + 100
    return LatentShards(scenes, latents, tokens, torch.full((MAX_LENGTH,), -1), 0.5)


def test_a_batch_shows_what_belongs_together() -> None:
    latents, tokens, condition = draw_batch(_made_set(), KEEP, 0)
    kind = (latents[:, 0, 0, 0] * 2.0).round()
    assert set(kind.tolist()) == {1.0, 2.0, 3.0, 4.0}
    assert torch.equal(tokens[:, 0] - 100, (kind > 2).long())
    mirrored = (kind % 2 == 0)[:, None]
    assert torch.equal(condition[:, 0, 0, :16] > 0, ~mirrored.expand(-1, 16))
    assert torch.equal(condition[:, 0, 0, 16:] > 0, mirrored.expand(-1, 16))
    # Light lies where the object is, and of the second picture none is told.
    told = (kind <= 2)[:, None, None, None]
    assert torch.equal(condition[:, 3:] > 0, (condition[:, :1] > 0).expand(-1, 9, -1, -1) & told)
    again = draw_batch(_made_set(), KEEP, 0)
    assert all(torch.equal(a, b) for a, b in zip((latents, tokens, condition), again, strict=True))
    assert not torch.equal(latents, draw_batch(_made_set(), KEEP, 1)[0])


def test_each_part_can_be_dropped() -> None:
    data = _made_set()
    untold = draw_batch(data, replace(KEEP, drop_shading=1.0), 0)[2]
    assert not untold[:, 3:].any()
    assert untold[:, :3].any()
    assert not draw_batch(data, replace(KEEP, drop_condition=1.0), 0)[2].any()
    assert (draw_batch(data, replace(KEEP, drop_caption=1.0), 0)[1] == -1).all()


@pytest.mark.slow
def test_latents_are_of_pictures_and_their_mirror_images(stages: Path) -> None:
    torch.manual_seed(0)
    vae = build_autoencoder(SHAPE)
    done = load_latents(stages / "scenes", stages / "latents", stages / "out" / TOKENIZER)
    images = np.array(done.scenes.images[0])
    for kind, picture in zip(done.latents[0], (images, images[:, :, ::-1]), strict=True):
        signal = torch.from_numpy(picture.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        with torch.no_grad():
            expected = vae.encode(signal, return_dict=False)[0].mean
        assert np.allclose(kind.astype(np.float32), expected.numpy(), atol=2e-3)
    assert not np.allclose(done.latents[0][0], done.latents[0][1], atol=1e-2)
    assert done.scaling == pytest.approx(1.0 / float(done.latents[0].astype(np.float32).std()), rel=1e-4)


@pytest.mark.slow
def test_latents_grow_and_keep_to_one_autoencoder(stages: Path, tmp_path: Path) -> None:
    vae, mine = build_autoencoder(SHAPE), tmp_path / "autoencoder"
    mine.write_bytes(b"other")
    scenes = shutil.copytree(stages / "scenes", tmp_path / "scenes")
    (scenes / "0001.json").rename(scenes / "kept")
    cache_latents(vae, mine, scenes, tmp_path / "latents")
    assert load_latents(scenes, tmp_path / "latents", stages / "out" / TOKENIZER).scenes.count == 2
    before = scaling_of(tmp_path / "latents")
    (scenes / "kept").rename(scenes / "0001.json")
    assert load_latents(scenes, tmp_path / "latents", stages / "out" / TOKENIZER).scenes.count == 2
    cache_latents(vae, mine, scenes, tmp_path / "latents")
    assert load_latents(scenes, tmp_path / "latents", stages / "out" / TOKENIZER).scenes.count == 4
    assert scaling_of(tmp_path / "latents") == before
    with pytest.raises(ValueError, match="another autoencoder"):
        cache_latents(vae, stages / "autoencoder", scenes, tmp_path / "latents")
    with pytest.raises(FileNotFoundError, match="denoiser latents"):
        load_latents(scenes, tmp_path / "nothing", stages / "out" / TOKENIZER)


@pytest.mark.slow
def test_training_goes_on_where_it_stopped(stages: Path, tmp_path: Path) -> None:
    scenes, latents = stages / "scenes", stages / "latents"
    shutil.copytree(stages / "out" / TOKENIZER, tmp_path / TOKENIZER)
    train_denoiser(scenes, latents, tmp_path, SMALL, stop_at=2)
    halves = train_denoiser(scenes, latents, tmp_path, SMALL)
    straight = stages / "out" / halves.name
    assert read_metadata(halves)["step"] == read_metadata(straight)["step"] == "6"
    assert json.loads(read_metadata(halves)["notes"])["step"] == [3.0, 6.0]
    assert halves.read_bytes()[-4096:] == straight.read_bytes()[-4096:]


@pytest.mark.slow
@torch.no_grad()
def test_the_folder_loads_as_the_shipped_one_does(stages: Path, tmp_path: Path) -> None:
    """The product's own way of loading takes the new sizes from the folder."""
    vae = build_autoencoder(SHAPE).eval()
    export_third(vae, scaling_of(stages / "latents"), stages / "out", tmp_path, SMALL)
    guidance = load_guidance(PocketSpec(source=str(tmp_path)), torch.device("cpu"))
    assert guidance.image_size == 32
    assert guidance.unknown_words("tiny red bricks with black mortar, steampunk") == ("steampunk",)
    latents = guidance.encode_image(torch.rand(1, 3, 32, 32))
    assert latents.shape == (1, 4, 8, 8)
    assert guidance.decode_latents(latents).shape == (1, 3, 32, 32)
    assert json.loads((tmp_path / "vae" / "config.json").read_text())["scaling_factor"] == scaling_of(
        stages / "latents"
    )
    assert load_tokenizer(tmp_path / "tokenizer").eos_token == END
    assert tokens_of(["oak"], tmp_path / "tokenizer").shape == (1, MAX_LENGTH)
