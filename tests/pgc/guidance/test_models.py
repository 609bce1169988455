# SPDX-License-Identifier: Apache-2.0
"""The catalogue fits the specs, and what it says to download is what loading needs."""

from __future__ import annotations

import fnmatch
import shutil
from pathlib import Path

import pytest

from pgc.errors import GuidanceError
from pgc.guidance.fetching import UnusableModelError
from pgc.guidance.models import (
    KNOWN_MODELS,
    PICTURE_MODELS,
    KnownModel,
    download_commands,
    is_model_installed,
    require_installed,
)
from pgc.guidance.pulling import pull_hub_id, pull_model
from pgc.guidance.sources import model_parts, packaged_pocket, zero123_parts
from pgc.guidance.specs import FlowSpec, OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec, parse_guidance
from pgc.optimization.config import Prompt
from pgc.runs.request import TextureRequest, prepare_run

BY_KEY = {model.key: model for model in KNOWN_MODELS}


@pytest.mark.parametrize("model", KNOWN_MODELS, ids=lambda model: model.key)
def test_rows_fit_what_is_loaded(model: KnownModel) -> None:
    spec = parse_guidance(model.key)
    listed = {files.hub_id for files in model.downloads}
    match spec:
        case StableDiffusionSpec():
            assert listed == {spec.source, spec.controlnet}
        case SDXLSpec():
            assert listed == {spec.source, spec.controlnet, spec.half_precision_vae}
        case FlowSpec():
            assert listed == {spec.source}
        case _:
            assert isinstance(spec, PocketSpec)
            assert listed == set()
    assert (model.download_gb > 0) == bool(listed)
    assert model.license


def test_commands_fetch_what_is_needed_and_no_pickle() -> None:
    sdxl = BY_KEY["sdxl"]
    commands = download_commands(sdxl)
    assert len(commands) == 3
    assert commands[2] == (
        "hf download madebyollin/sdxl-vae-fp16-fix "
        '--include "config.json" --include "diffusion_pytorch_model.safetensors"'
    )
    patterns = sdxl.downloads[0].patterns
    parts = model_parts(xl=True)
    wanted = ["model_index.json", "scheduler/scheduler_config.json", "tokenizer_2/merges.txt", "tokenizer/vocab.json"]
    for part in parts.weights:
        stem = "model" if part.startswith("text") else "diffusion_pytorch_model"
        wanted += [f"{part}/config.json", f"{part}/{stem}.fp16.safetensors"]
    unwanted = [
        "sd_xl_base_1.0.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "safety_checker/model.fp16.safetensors",
        "vae_decoder/model.onnx",
    ]
    for name in wanted:
        assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name
    for name in unwanted:
        assert not any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name


def test_installed_means_all_parts(tmp_path: Path, sd15_folder: Path) -> None:
    model = BY_KEY["sd15"]
    assert not is_model_installed(model, cache_dir=tmp_path)
    places = {files.hub_id: tmp_path / ("models--" + files.hub_id.replace("/", "--")) for files in model.downloads}
    sources = [sd15_folder, sd15_folder / "controlnet"]
    for source, place in zip(sources, places.values(), strict=True):
        assert not is_model_installed(model, cache_dir=tmp_path)
        (place / "refs").mkdir(parents=True)
        (place / "refs" / "main").write_text("abc")
        shutil.copytree(source, place / "snapshots" / "abc")
    assert is_model_installed(model, cache_dir=tmp_path)


def test_pocket_is_installed_when_its_weights_are_there(
    pocket_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert packaged_pocket().parts[-3:] == ("pgc", "pocket", "weights")
    monkeypatch.setattr("pgc.guidance.models.packaged_pocket", lambda: pocket_folder)
    assert is_model_installed(BY_KEY["pocket"])
    monkeypatch.setattr("pgc.guidance.models.packaged_pocket", lambda: tmp_path / "weights")
    assert not is_model_installed(BY_KEY["pocket"])


@pytest.mark.parametrize("key", ["sd15", "sd21", "sdxl"])
def test_a_known_model_that_is_not_here_is_named_with_its_size(key: str, tmp_path: Path) -> None:
    with pytest.raises(GuidanceError, match=rf"{BY_KEY[key].download_gb:.1f} GB in all\) with: pgc models pull {key}"):
        require_installed(parse_guidance(key), cache_dir=tmp_path)


def test_the_built_in_prior_and_the_oracle_need_nothing(tmp_path: Path) -> None:
    require_installed(PocketSpec(), cache_dir=tmp_path)
    require_installed(OracleSpec(), cache_dir=tmp_path)


def test_a_missing_model_is_said_before_the_mesh_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgc.runs.request.load_prepared", lambda *given: pytest.fail("the mesh was read first"))
    spec = StableDiffusionSpec(source="nobody/no-model")
    request = TextureRequest(mesh=tmp_path / "mesh.obj", prompt=Prompt(text="oak"), guidance=spec, device="cpu")
    with pytest.raises(GuidanceError, match="pgc models pull nobody/no-model"):
        prepare_run(request)


def test_zero123_is_fetched_by_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (model,) = PICTURE_MODELS
    fetched = []

    def fetch(*given, **named):
        fetched.append(given)
        return tmp_path

    monkeypatch.setattr("pgc.guidance.pulling.fetch", fetch)
    pull_model(model, cache_dir=tmp_path)
    assert fetched == [(model.downloads[0].hub_id, zero123_parts("clip_camera_projection"))]
    patterns = model.downloads[0].patterns
    wanted = ["image_encoder/model.fp16.safetensors", "clip_camera_projection/diffusion_pytorch_model.fp16.safetensors"]
    for name in [*wanted, "scheduler/scheduler_config.json", "unet/config.json", "vae/config.json"]:
        assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name
    for name in ("unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16_ema.safetensors"):
        assert not any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name


def test_zero123_by_another_name_is_fetched_in_the_layout_of_its_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub is asked for Stable Diffusion's parts first; what comes back is an index that says otherwise."""
    fetched = []

    def fetch(hub_id, parts, **named):
        fetched.append(parts)
        if parts != zero123_parts("cc_projection"):
            raise UnusableModelError("no text_encoder")
        return tmp_path

    monkeypatch.setattr("pgc.guidance.pulling.fetch", fetch)
    monkeypatch.setattr("pgc.guidance.pulling.pipeline_name", lambda *given, **named: "Zero1to3StableDiffusionPipeline")
    assert pull_hub_id("kxic/zero123-xl") == tmp_path
    assert fetched[-1] == zero123_parts("cc_projection")
