# SPDX-License-Identifier: Apache-2.0
"""Learnt words (textual inversion) reach the text encoders' rows, and a prompt may use them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pgc.errors import GuidanceError
from pgc.guidance.diffusion.added.headers import TensorFile, embedding_widths, sha256_of
from pgc.guidance.diffusion.added.specs import AddedFiles, EmbeddingSpec
from pgc.guidance.specs import SDXLSpec, StableDiffusionSpec, load_guidance
from tests.pgc.guidance.conftest import WIDTH

CPU = torch.device("cpu")
ROWS = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(4))


def _word(path: Path, token: str, **tensors: Tensor) -> EmbeddingSpec:
    save_file(tensors, path)
    return EmbeddingSpec(path=str(path), sha256=sha256_of(path), token=token)


def _load(kind: Any, folder: Path, *words: EmbeddingSpec) -> Any:
    return load_guidance(kind(source=str(folder), controlnet=None, added=AddedFiles(embeddings=words)), CPU)


def test_a_word_is_read_as_its_vectors(sd15_folder: Path, tmp_path: Path) -> None:
    """Held to the encoder itself, whose words are replaced by hand; and to diffusers' own loader."""
    plain = _load(StableDiffusionSpec, sd15_folder)
    found = _load(StableDiffusionSpec, sd15_folder, _word(tmp_path / "a.safetensors", "<moss>", emb_params=ROWS))
    texts = ["red", "a <moss> cube", "a <MOSS>, cube", "a <moss>y cube"]
    assert torch.equal(plain.encode_prompt(texts[:1]).hidden_states, found.encode_prompt(texts[:1]).hidden_states)
    encoder = getattr(plain, "_model").components.text_encoders[0]  # noqa: B009 - private
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

    pipeline: Any = StableDiffusionPipeline.from_pretrained(sd15_folder, safety_checker=None)
    pipeline.load_textual_inversion({"<moss>": ROWS})
    expected, _ = pipeline.encode_prompt(texts[1], CPU, 1, False)
    torch.testing.assert_close(found.encode_prompt(texts[1:2]).hidden_states, expected)
    ids = pipeline.tokenizer(pipeline.maybe_convert_prompt(texts[1], pipeline.tokenizer)).input_ids
    rows = encoder.get_input_embeddings().weight
    by_hand = torch.stack([ROWS[number - 82] if number >= 82 else rows[number] for number in ids])
    learnt = getattr(found, "_model").components  # noqa: B009 - private
    own = learnt.tokenizers[0](texts[1]).input_ids
    assert own == ids
    torch.testing.assert_close(learnt.text_encoders[0].get_input_embeddings().weight[torch.tensor(own)], by_hand)
    # Capitals and what stands around it do not matter; a part of a word is another word.
    tokens = [learnt.tokenizers[0](text).input_ids for text in texts]
    assert [sum(number >= 82 for number in row) for row in tokens] == [0, 3, 3, 0]


def test_the_end_of_a_text_is_found_behind_a_learnt_word(sdxl_folder: Path, tmp_path: Path) -> None:
    """Old settings take the highest token for the end, which a learnt word's is: SDXL's pooled vector was its state."""
    folder = tmp_path / "model"
    shutil.copytree(sdxl_folder, folder)
    config = folder / "text_encoder_2" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "eos_token_id": 2}))
    both = _word(tmp_path / "xl.safetensors", "<moss>", clip_l=ROWS, clip_g=2 * ROWS)
    found = _load(SDXLSpec, folder, both)
    encoders = getattr(found, "_model").components.text_encoders  # noqa: B009 - private
    for encoder, rows in zip(encoders, (ROWS, 2 * ROWS), strict=True):
        assert torch.equal(encoder.get_input_embeddings().weight[82:85], rows)
    output = encoders[1](
        torch.tensor([found._model.components.tokenizers[1]("a <moss> cube", padding="max_length").input_ids]),
        output_hidden_states=True,
    )
    ends = found._model.components.tokenizers[1]("a <moss> cube").input_ids
    norm = [part for name, part in encoders[1].named_modules() if name.endswith("final_layer_norm")][-1]
    state = norm(output.hidden_states[-1])[0, len(ends) - 1]
    by_hand = encoders[1].text_projection(state)
    torch.testing.assert_close(found.encode_prompt(["a <moss> cube"]).pooled[0], by_hand)


def test_several_words_and_one_that_the_model_knows(sd15_folder: Path, tmp_path: Path) -> None:
    known = _word(tmp_path / "known.safetensors", "R", emb_params=ROWS[:1])
    other = _word(tmp_path / "other.safetensors", "r-2", emb_params=ROWS)
    found = _load(StableDiffusionSpec, sd15_folder, known, other)._model.components
    tokens = [found.tokenizers[0](text).input_ids[1:-1] for text in ("r", "r-2", "red")]
    # The longer word first; a letter within a word stays what it was.
    assert tokens[:2] == [[82], [83, 84, 85]]
    assert max(tokens[2]) < 82
    assert torch.equal(found.text_encoders[0].get_input_embeddings().weight[82:86], torch.cat([ROWS[:1], ROWS]))


@pytest.mark.slow
def test_models_that_are_loaded_share_no_word(sd15_folder: Path, tmp_path: Path) -> None:
    word = _word(tmp_path / "a.safetensors", "<moss>", emb_params=ROWS)
    first = _load(StableDiffusionSpec, sd15_folder).encode_prompt(["<moss>"]).hidden_states
    learnt = _load(StableDiffusionSpec, sd15_folder, word).encode_prompt(["<moss>"]).hidden_states
    again = _load(StableDiffusionSpec, sd15_folder).encode_prompt(["<moss>"]).hidden_states
    assert torch.equal(first, again)
    assert not torch.allclose(first, learnt, atol=1e-3)


def test_what_cannot_be_learnt_is_refused(sd15_folder: Path, sdxl_folder: Path, tmp_path: Path) -> None:
    wide = _word(tmp_path / "wide.safetensors", "<moss>", emb_params=torch.zeros(1, 99))
    one = _word(tmp_path / "one.safetensors", "<one>", emb_params=ROWS)
    broken = _word(tmp_path / "broken.safetensors", "<x>", emb_params=ROWS / 0.0)
    gone = EmbeddingSpec(path=str(tmp_path / "gone.safetensors"), sha256="", token="<x>")
    for kind, folder, word, said in (
        (StableDiffusionSpec, sd15_folder, wide, "was made for another model"),
        (SDXLSpec, sdxl_folder, one, "was made for another model"),
        (StableDiffusionSpec, sd15_folder, broken, "vectors that are not finite"),
        (StableDiffusionSpec, sd15_folder, gone, "cannot be read as safetensors"),
    ):
        with pytest.raises(GuidanceError, match=said):
            _load(kind, folder, word)


def test_a_word_has_no_more_vectors_than_a_prompt_has_room_for() -> None:
    def shaped(vectors: int) -> TensorFile:
        return TensorFile(path=Path("a.safetensors"), shapes={"clip_l": (vectors, 8), "clip_g": (vectors, 16)})

    assert embedding_widths(shaped(75)) == (8, 16)
    assert embedding_widths(TensorFile(path=Path("a.safetensors"), shapes={"emb_params": (768,)})) == (768,)
    with pytest.raises(GuidanceError, match="has 76 vectors for its word; expected 75 at most"):
        embedding_widths(shaped(76))
