# SPDX-License-Identifier: Apache-2.0
"""Folders, hub ids, caches and single files; every refusal is one sentence that says what to do."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors.torch import save_file

from pgc.errors import GuidanceError
from pgc.guidance import fetching, sources
from pgc.guidance.diffusion.loading import load_components, load_controlnet
from pgc.guidance.fetching import fetch
from pgc.guidance.sources import ModelParts, is_installed, locate, model_kind, single_file_kind, weights_variant
from pgc.guidance.specs import load_guidance, parse_guidance

PARTS = ModelParts(weights=("vae", "unet", "text_encoder"), settings=("scheduler", "tokenizer"))
CPU = torch.device("cpu")
HUB_ID = "someone/some-model"


def write_cache(root: Path, model: Path, hub_id: str = HUB_ID) -> Path:
    """The layout of huggingface_hub's cache: refs/main names the snapshot."""
    repository = root / ("models--" + hub_id.replace("/", "--"))
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc123")
    shutil.copytree(model, repository / "snapshots" / "abc123")
    return repository / "snapshots" / "abc123"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hub is out of reach; the list holds what was asked of it all the same."""
    asked: list[str] = []
    original = sources.snapshot_download

    def download(repo_id: str, *, local_files_only: bool = False, **rest: object) -> str:
        if not local_files_only:
            asked.append(repo_id)
            raise LocalEntryNotFoundError("no connection")
        return original(repo_id, local_files_only=True, **rest)  # type: ignore[arg-type]

    for module in (sources, fetching):
        monkeypatch.setattr(module, "snapshot_download", download)
    return asked


def test_folder_is_taken_as_it_is(sd15_folder: Path) -> None:
    assert locate(str(sd15_folder), PARTS) == sd15_folder


def test_cached_model_loads_without_asking_the_network(
    tmp_path: Path, sd15_folder: Path, no_network: list[str]
) -> None:
    snapshot = write_cache(tmp_path, sd15_folder)
    assert is_installed(HUB_ID, PARTS, cache_dir=tmp_path)
    assert locate(HUB_ID, PARTS, cache_dir=tmp_path) == snapshot
    parts = load_components(HUB_ID, xl=False, dtype=torch.float32, device=CPU, cache_dir=tmp_path)
    assert parts.prediction_type == "epsilon"
    assert model_kind(HUB_ID, cache_dir=tmp_path) == "sd1"
    assert no_network == []


def test_half_cached_model_without_network_says_what_to_run(
    tmp_path: Path, sd15_folder: Path, no_network: list[str]
) -> None:
    snapshot = write_cache(tmp_path, sd15_folder)
    (snapshot / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    assert not is_installed(HUB_ID, PARTS, cache_dir=tmp_path)
    with pytest.raises(GuidanceError, match=f"not complete on this machine.*pgc models pull {HUB_ID}.*--guidance PATH"):
        locate(HUB_ID, PARTS, cache_dir=tmp_path)
    assert no_network == []
    with pytest.raises(GuidanceError, match="out of reach"):
        fetch(HUB_ID, PARTS, half=False, cache_dir=tmp_path)
    assert no_network == [HUB_ID]


@pytest.mark.parametrize("name", ["sd15", "sd21", "sdxl", HUB_ID])
def test_a_run_never_asks_the_hub(tmp_path: Path, no_network: list[str], monkeypatch: pytest.MonkeyPatch, name) -> None:
    """A download is a command of its own."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    spec = parse_guidance(name) if name != HUB_ID else replace(parse_guidance("sd15"), source=HUB_ID)
    spec = replace(spec, source=f"nobody/{name.replace('/', '-')}")
    with pytest.raises(GuidanceError, match=r"nothing is downloaded unasked\. Fetch it with: pgc models pull nobody/"):
        load_guidance(spec, CPU)
    assert no_network == []


def test_real_offline_mode_is_respected(tmp_path: Path, sd15_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(GuidanceError, match=f"pgc models pull {HUB_ID}"):
        locate(HUB_ID, PARTS, cache_dir=tmp_path)
    write_cache(tmp_path, sd15_folder)
    assert locate(HUB_ID, PARTS, cache_dir=tmp_path).is_dir()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (GatedRepoError("gated", response=Mock()), f"huggingface.co/{HUB_ID}, run: hf auth login, then pull it again"),
        (RepositoryNotFoundError("gone", response=Mock()), "no model someone/some-model, or it is private"),
        (HfHubHTTPError("500 Server Error", response=Mock()), r"500 Server Error\); pull it again"),
        (OSError("disk full"), r"disk full\); pull it again"),
    ],
    ids=["gated", "missing", "server", "disk"],
)
def test_refusals_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str) -> None:
    def download(repo_id: str, *, local_files_only: bool = False, **rest: object) -> str:
        raise LocalEntryNotFoundError("not cached") if local_files_only else error

    monkeypatch.setattr(fetching, "snapshot_download", download)
    with pytest.raises(GuidanceError, match=sentence):
        fetch(HUB_ID, PARTS, half=True, cache_dir=tmp_path)


def test_download_asks_for_fp16_first_and_never_for_pickles(
    tmp_path: Path, sd15_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    target = tmp_path / "snapshot"

    def download(repo_id: str, *, allow_patterns: list[str], local_files_only: bool = False, **rest: object) -> str:
        if local_files_only:
            raise LocalEntryNotFoundError("not cached")
        asked.append(allow_patterns)
        if len(asked) == 2:
            shutil.copytree(sd15_folder, target)
        else:
            target.mkdir()
            target.rmdir()
        return str(target)

    monkeypatch.setattr(fetching, "snapshot_download", download)
    assert fetch(HUB_ID, PARTS, half=True, cache_dir=tmp_path) == target
    first, second = asked
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in first
    assert "unet/diffusion_pytorch_model.safetensors" not in first
    assert "unet/diffusion_pytorch_model.safetensors" in second
    assert "tokenizer/*.json" in first
    assert not any(pattern.endswith((".bin", ".ckpt", "*")) for pattern in first + second)


def test_published_model_without_safetensors_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(repo_id: str, *, local_files_only: bool = False, **rest: object) -> str:
        if local_files_only:
            raise LocalEntryNotFoundError("not cached")
        (tmp_path / "unet").mkdir(exist_ok=True)
        (tmp_path / "unet" / "config.json").write_text("{}")
        return str(tmp_path)

    monkeypatch.setattr(fetching, "snapshot_download", download)
    with pytest.raises(GuidanceError, match=r"someone/some-model is no usable model: .* holds no weights"):
        fetch(HUB_ID, ModelParts(weights=("unet",)), half=False)


@pytest.mark.parametrize("source", ["no/such/folder", "nowhere", "folder/model.safetensors", "folder/model.ckpt", ""])
def test_neither_path_nor_hub_id(source: str) -> None:
    with pytest.raises(GuidanceError, match="no hub id") if source else pytest.raises(GuidanceError, match="usable"):
        locate(source, PARTS)


def test_pickled_weights_are_refused(tmp_path: Path, sd15_folder: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(sd15_folder, model)
    weights = model / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(GuidanceError, match=r"diffusion_pytorch_model\.bin but no \.safetensors.*can run code"):
        load_components(str(model), xl=False, dtype=torch.float32, device=CPU)
    with pytest.raises(GuidanceError, match="can run code"):
        load_controlnet(str(model / "unet"), dtype=torch.float32, device=CPU)


def test_missing_parts_are_named(tmp_path: Path, sd15_folder: Path) -> None:
    for missing in ("vae/config.json", "scheduler"):
        model = tmp_path / missing.replace("/", "_")
        shutil.copytree(sd15_folder, model)
        path = model / missing
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        with pytest.raises(GuidanceError, match=f"{missing} is missing"):
            locate(str(model), PARTS)


def test_variant_is_chosen_by_precision_and_by_what_there_is(tmp_path: Path) -> None:
    def folder(*names: str) -> Path:
        path = tmp_path / str(len(list(tmp_path.iterdir())))
        path.mkdir()
        for name in names:
            (path / name).touch()
        return path

    both = folder("model.safetensors", "model.fp16.safetensors")
    assert weights_variant(both, half=True) == "fp16"
    assert weights_variant(both, half=False) is None
    assert weights_variant(folder("diffusion_pytorch_model.safetensors"), half=True) is None
    assert weights_variant(folder("diffusion_pytorch_model.fp16.safetensors"), half=False) == "fp16"
    assert weights_variant(folder("model-00001-of-00002.safetensors"), half=True) is None
    for names in ((), ("diffusion_pytorch_model.non_ema.safetensors",)):
        with pytest.raises(GuidanceError, match="holds no weights"):
            weights_variant(folder(*names), half=False)
    with pytest.raises(GuidanceError, match="holds no weights"):
        weights_variant(tmp_path / "nothing", half=False)


def test_kind_of_a_single_file(tmp_path: Path) -> None:
    keys = {
        "sdxl": "conditioner.embedders.1.model.ln_final.weight",
        "sd2": "cond_stage_model.model.ln_final.weight",
        "sd1": "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    }
    for kind, key in keys.items():
        path = tmp_path / f"{kind}.safetensors"
        save_file({key: torch.zeros(1)}, path)
        assert single_file_kind(path) == kind
    lone = tmp_path / "lora.safetensors"
    save_file({"lora_unet.weight": torch.zeros(1)}, lone)
    with pytest.raises(GuidanceError, match="no text encoder"):
        single_file_kind(lone)
    pickle = tmp_path / "model.ckpt"
    pickle.write_bytes(b"\x80\x04")
    with pytest.raises(GuidanceError, match="can run code"):
        single_file_kind(pickle)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not safetensors at all")
    with pytest.raises(GuidanceError, match="cannot be read as safetensors"):
        single_file_kind(broken)


def test_kind_of_a_folder(tmp_path: Path, sd15_folder: Path, sdxl_folder: Path, pocket_folder: Path) -> None:
    assert model_kind(str(sd15_folder)) == "sd1"
    assert model_kind(str(sdxl_folder)) == "sdxl"
    assert model_kind(str(pocket_folder)) == "pocket"
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    (tmp_path / "text_encoder").mkdir()
    (tmp_path / "text_encoder" / "config.json").write_text(json.dumps({"hidden_size": 1024}))
    assert model_kind(str(tmp_path)) == "sd2"
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "Flux2Pipeline"}))
    with pytest.raises(GuidanceError, match="is a Flux2Pipeline model"):
        model_kind(str(tmp_path))
    (tmp_path / "model_index.json").write_text("not json")
    with pytest.raises(GuidanceError, match="unreadable"):
        model_kind(str(tmp_path))
    for nothing in ("no/such-model", "nonsense"):
        with pytest.raises(GuidanceError, match="There is no model"):
            model_kind(nothing, cache_dir=tmp_path)
