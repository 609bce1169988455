# SPDX-License-Identifier: Apache-2.0
"""Flow models read a prompt once: T5's gigabytes are not even loaded where all prompts are known."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pgc.guidance.base import PromptEmbedding
from pgc.guidance.diffusion.added.specs import AddedFiles, LoraSpec
from pgc.guidance.diffusion.flow.specs import FluxSpec, SD3Spec
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.words.stored import fingerprint_of
from pgc.guidance.specs import load_guidance, parse_guidance
from tests.pgc.guidance.flow_models import FLOWS, FlowName, write_flow

CPU = torch.device("cpu")


def loaded(guidance: Any) -> list[bool]:
    return [encoder.is_loaded for encoder in guidance._parts.text_encoders]


def equal(one: PromptEmbedding, other: PromptEmbedding) -> bool:
    pairs = [(one.hidden_states, other.hidden_states), (one.pooled, other.pooled), (one.lengths, other.lengths)]
    return all((a is b is None) or torch.equal(a, b) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOWS)
def test_the_second_time_no_encoder_is_loaded_and_each_number_is_the_same(name: FlowName, tmp_path: Path) -> None:
    spec = parse_guidance(str(write_flow(tmp_path / "model", name)))
    plain = load_guidance(spec, CPU)
    first, second = (load_guidance(spec, CPU, words=tmp_path / "words") for _ in range(2))
    assert not any(loaded(first))
    for prompt in ("red bricks", ""):
        told = plain.encode_prompt([prompt])
        assert equal(first.encode_prompt([prompt]), told)
        assert equal(second.encode_prompt([prompt]), told)
    each = PromptEmbedding.cat([plain.encode_prompt([prompt]) for prompt in ("", "red bricks")])
    assert equal(second.encode_prompt(["", "red bricks"]), each)
    assert all(loaded(first))
    assert not any(loaded(second))
    assert equal(second.encode_prompt(["brass"]), plain.encode_prompt(["brass"]))
    assert all(loaded(second))


@pytest.mark.slow
def test_another_length_or_another_set_of_readers_is_another_embedding(tmp_path: Path) -> None:
    folder = str(write_flow(tmp_path / "model", "sd3"))
    words = tmp_path / "words"
    shapes = []
    for how in ({}, {"t5_length": 32}, {"t5": False}):
        spec = SD3Spec(source=folder, **how)
        told = load_guidance(spec, CPU, words=words).encode_prompt(["red"])
        assert equal(told, load_guidance(spec, CPU).encode_prompt(["red"]))
        shapes.append(told.hidden_states.shape[1])
    assert shapes[1] < shapes[0]
    assert len(list(words.iterdir())) == 3
    guidance: Any = load_guidance(SD3Spec(source=folder), CPU, words=words)
    shorter = guidance.retuned(LatentDiffusionConfig(), t5_length=32)
    assert shorter.encode_prompt(["red"]).hidden_states.shape[1] == shapes[1]
    assert not any(loaded(shorter))


@pytest.mark.slow
def test_a_lora_which_may_change_an_encoder_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merged: list[Any] = []
    monkeypatch.setattr(
        "pgc.guidance.diffusion.added.lora_files.merge_loras", lambda *given, **_: merged.append(given[2])
    )
    spec = FluxSpec(source=str(write_flow(tmp_path / "model", "flux")))
    spec = replace(spec, added=AddedFiles(loras=(LoraSpec(path=str(tmp_path / "a.safetensors"), sha256="0" * 64),)))
    load_guidance(spec, CPU, words=tmp_path / "words").encode_prompt(["red"])
    assert not (tmp_path / "words").exists()
    assert all(isinstance(encoder, torch.nn.Module) for encoder in merged[0])


def test_files_of_the_hubs_cache_are_known_by_their_names_and_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, hub, blobs = tmp_path / "plain", tmp_path / "snapshots" / "1", tmp_path / "blobs"
    for folder in (plain, hub):
        (folder / "text_encoder").mkdir(parents=True)
    blobs.mkdir()
    for name, content in (("config.json", b"{}"), ("spiece.model", b"words"), ("model.safetensors", b"weights" * 9)):
        (plain / "text_encoder" / name).write_bytes(content)
    hashed = {name: _sha256(plain / "text_encoder" / name) for name in ("spiece.model", "model.safetensors")}
    shutil.copy(plain / "text_encoder" / "config.json", hub / "text_encoder" / "config.json")
    for name, digest in hashed.items():
        shutil.copy(plain / "text_encoder" / name, blobs / digest)
        (hub / "text_encoder" / name).symlink_to(blobs / digest)
    opened: list[str] = []
    plainly = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: opened.append(self.name) or plainly(self, *a, **k))
    known = fingerprint_of(hub, ["text_encoder"], half=False)
    assert known == fingerprint_of(hub, ["text_encoder"], half=False)
    assert opened == ["config.json"] * 2
    # What a damaged file's encoder said is not believed once the file was fetched again, under the same name.
    weights = blobs / hashed["model.safetensors"]
    weights.unlink()
    weights.write_bytes(b"weights" * 9)
    os.utime(weights, ns=(10**18, 10**18))
    assert fingerprint_of(hub, ["text_encoder"], half=False) != known
    # A tokenizer's words in SentencePiece's own format count too.
    whole = fingerprint_of(plain, ["text_encoder"], half=False)
    (plain / "text_encoder" / "spiece.model").write_bytes(b"other")
    assert fingerprint_of(plain, ["text_encoder"], half=False) != whole


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
