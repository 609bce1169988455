# SPDX-License-Identifier: Apache-2.0
"""A prompt is encoded once: the same numbers from the disk, never another model's, never damaged ones."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pgc.guidance.base import PromptEmbedding
from pgc.guidance.diffusion.added.specs import AddedFiles, EmbeddingSpec
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.words.stored import StoredWords, _sum
from pgc.guidance.specs import SDXLSpec, StableDiffusionSpec, load_guidance

CPU = torch.device("cpu")
PROMPTS = ("red bricks", "", "moss, " * 12 + "stone")


def sd(folder: Path, **how: Any) -> StableDiffusionSpec:
    return StableDiffusionSpec(source=str(folder), controlnet=None, **how)


def encoders(guidance: Any) -> tuple[Any, ...]:
    return guidance._model.components.text_encoders


def equal(one: PromptEmbedding, other: PromptEmbedding) -> bool:
    pooled = one.pooled is other.pooled is None or torch.equal(one.pooled, other.pooled)
    return pooled and torch.equal(one.hidden_states, other.hidden_states)


@pytest.mark.slow
def test_the_second_time_no_encoder_is_loaded_and_each_number_is_the_same(sdxl_folder: Path, tmp_path: Path) -> None:
    spec = SDXLSpec(source=str(sdxl_folder), controlnet=None)
    plain = load_guidance(spec, CPU)
    first, second = (load_guidance(spec, CPU, words=tmp_path / "words") for _ in range(2))
    assert not any(encoder.is_loaded for encoder in encoders(first))
    for prompt in PROMPTS:
        assert equal(first.encode_prompt([prompt]), plain.encode_prompt([prompt]))
        assert equal(second.encode_prompt([prompt]), plain.encode_prompt([prompt]))
    assert all(encoder.is_loaded for encoder in encoders(first))
    assert not any(encoder.is_loaded for encoder in encoders(second))
    # A new word has it loaded after all.
    assert equal(second.encode_prompt(["brass"]), plain.encode_prompt(["brass"]))
    assert all(encoder.is_loaded for encoder in encoders(second))
    assert not any("brick" in str(path) or b"brick" in path.read_bytes() for path in (tmp_path / "words").iterdir())


@pytest.mark.slow
def test_a_model_whose_encoder_or_tokenizer_changed_gets_nothing_of_the_one_before(
    sd15_folder: Path, tmp_path: Path
) -> None:
    model, words = tmp_path / "model", tmp_path / "words"
    shutil.copytree(sd15_folder, model)
    before = load_guidance(sd(model), CPU, words=words).encode_prompt(["red"])
    weights = model / "text_encoder" / "model.safetensors"
    tensors = load_file(weights)
    name = next(name for name in tensors if name.endswith("final_layer_norm.bias"))
    about = weights.stat()
    save_file({**tensors, name: tensors[name] + 0.5}, weights, metadata={"format": "pt"})
    # The same size and age: only what is in it says so.
    assert weights.stat().st_size == about.st_size
    os.utime(weights, ns=(about.st_atime_ns, about.st_mtime_ns))
    changed = load_guidance(sd(model), CPU, words=words)
    assert equal(changed.encode_prompt(["red"]), load_guidance(sd(model), CPU).encode_prompt(["red"]))
    assert not equal(changed.encode_prompt(["red"]), before)
    count = len(list(words.iterdir()))
    settings = model / "tokenizer" / "tokenizer_config.json"
    settings.write_text(settings.read_text().replace("24", "22"))
    load_guidance(sd(model), CPU, words=words).encode_prompt(["red"])
    assert len(list(words.iterdir())) == count + 1


@pytest.mark.slow
def test_what_else_the_numbers_depend_on_is_told_apart(sdxl_folder: Path, tmp_path: Path) -> None:
    specs = [
        SDXLSpec(source=str(sdxl_folder), controlnet=None, run=LatentDiffusionConfig(**how))
        for how in ({}, {"dtype": "bfloat16"}, {"empty_prompt": "encoded"})
    ]
    made = [load_guidance(spec, CPU, words=tmp_path).encode_prompt([""]) for spec in specs]
    assert len(list(tmp_path.iterdir())) == 3
    assert made[1].hidden_states.dtype == torch.bfloat16
    assert not made[0].hidden_states.any()
    assert made[2].hidden_states.any()
    assert equal(load_guidance(specs[2], CPU, words=tmp_path).encode_prompt([""]), made[2])


def test_a_model_with_learnt_words_stores_nothing(sd15_folder: Path, tmp_path: Path) -> None:
    word = tmp_path / "word.safetensors"
    save_file({"emb_params": torch.ones(1, 16)}, word)
    spec = replace(
        sd(sd15_folder), added=AddedFiles(embeddings=(EmbeddingSpec(path=str(word), token="red", sha256="0" * 64),))
    )
    load_guidance(spec, CPU, words=tmp_path / "words").encode_prompt(["red"])
    assert not (tmp_path / "words").exists()


def one_of(number: float, calls: list[str]) -> Any:
    def encode(prompts: Any) -> PromptEmbedding:
        calls.extend(prompts)
        return PromptEmbedding(hidden_states=torch.full((len(prompts), 4, 8), number), pooled=torch.ones(1, 3))

    return encode


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "foreign", "deep", "other names", "folder"])
def test_a_damaged_file_is_made_anew(damage: str, tmp_path: Path) -> None:
    calls: list[str] = []
    words = StoredWords(tmp_path, "reader", CPU)
    made = words.encoded(["red"], one_of(1.0, calls))
    path = words.path("red")
    whole = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(whole[:-9])
        case "bit":
            path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        case "empty":
            path.write_bytes(b"")
        case "foreign":
            save_file({"hidden_states": torch.zeros(1, 4, 8)}, path)
        case "deep":
            path.write_bytes((200_000).to_bytes(8, "little") + b"[" * 200_000)
        case "other names":
            tensors = {"foo": torch.zeros(1)}
            save_file(tensors, path, metadata={"sum": _sum(tensors)})
        case _:
            path.unlink()
            path.mkdir()
    assert equal(words.encoded(["red"], one_of(1.0, calls)), made)
    assert calls == ["red", "red"]
    if damage != "folder":
        assert path.read_bytes() == whole
        assert equal(words.encoded(["red"], one_of(2.0, calls)), made)
        assert calls == ["red", "red"]


def test_what_may_be_read_only_is_of_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    words = StoredWords(tmp_path, "reader", CPU)
    words.encoded(["red"], one_of(1.0, calls))

    def refuse(*_arguments: Any) -> None:
        raise PermissionError

    monkeypatch.setattr("pgc.guidance.diffusion.words.stored.os.utime", refuse)
    words.encoded(["red"], one_of(1.0, calls))
    assert calls == ["red"]


def test_readers_do_not_share_and_the_longest_unused_goes_first(tmp_path: Path) -> None:
    calls: list[str] = []
    size, words = 0, StoredWords(tmp_path, "reader", CPU)
    for age, prompt in enumerate(("a", "b", "c")):
        words.encoded([prompt], one_of(1.0, calls))
        size = words.path(prompt).stat().st_size
        os.utime(words.path(prompt), (age, age))
    StoredWords(tmp_path, "reader", CPU).encoded(["a"], one_of(1.0, calls))
    small = StoredWords(tmp_path, "another reader", CPU, most_bytes=3 * size)
    small.encoded(["a"], one_of(1.0, calls))
    assert calls == ["a", "b", "c", "a"]
    assert {path.name for path in tmp_path.iterdir()} == {
        words.path("a").name,
        words.path("c").name,
        small.path("a").name,
    }


def test_a_disk_that_takes_nothing_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    calls: list[str] = []
    words = StoredWords(tmp_path / "file" / "words", "reader", CPU)
    for _ in range(2):
        assert words.encoded(["red", "blue"], one_of(1.0, calls)).batch == 2
    assert calls == ["red", "blue"] * 2
