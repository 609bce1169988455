# SPDX-License-Identifier: Apache-2.0
"""Files that are added to a model: read from the command line, refused by their headers, recorded by their content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from PIL import Image
from safetensors.torch import save_file

from pgc.errors import ConfigError, PgcError
from pgc.guidance.specs import PocketSpec, SDXLSpec, StableDiffusionSpec, load_guidance
from pgc.remote.job import check_remote_arguments
from pgc.runs.arguments import TextureArguments, arguments_from_report
from pgc.runs.report import plain
from pgc.runs.settings.offers import read_embeddings, read_loras
from tests.pgc.guidance.conftest import WIDTH, write_model
from tests.pgc.guidance.diffusion.added.made import write_encoder, write_ip_adapter

LORA = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    return {"sd15": write_model(place / "sd15", xl=False), "sdxl": write_model(place / "sdxl", xl=True)}


@pytest.fixture
def files(tmp_path: Path, folders: dict[str, Path]) -> dict[str, Path]:
    """One of each, for the tiny model of 16 numbers a token, and what is none of them."""

    def lora(name: str, width: int = WIDTH) -> Path:
        path = tmp_path / f"{name}.safetensors"
        save_file({f"{LORA}.lora_A.weight": torch.ones(2, width), f"{LORA}.lora_B.weight": torch.ones(16, 2)}, path)
        return path

    def tensors(name: str, **content: torch.Tensor) -> Path:
        path = tmp_path / f"{name}.safetensors"
        save_file({key.replace("__", "."): value for key, value in content.items()}, path)
        return path

    unet = UNet2DConditionModel.from_pretrained(folders["sd15"] / "unet")
    write_encoder(tmp_path / "adapter" / "image_encoder")
    (tmp_path / "two").mkdir()
    save_file({"a": torch.ones(1)}, tmp_path / "two" / "a.safetensors")
    save_file({"a": torch.ones(1)}, tmp_path / "two" / "b.safetensors")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    (tmp_path / "cube.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (tmp_path / "torn.safetensors").write_bytes(b"\xff" * 40)
    (tmp_path / "pickle.pt").write_bytes(b"\x80\x04.")
    return {
        "lora": lora("lora"),
        "wide": lora("wide", 2048),
        "flow": tensors("flow", transformer__transformer_blocks__0__attn__to_q__lora_A__weight=torch.ones(2, 4)),
        "loha": tensors("loha", lora_unet_x__hada_w1_a=torch.ones(2, 2)),
        "dora": tensors("dora", lora_unet_x__lora_down__weight=torch.ones(2, 2), lora_unet_x__dora_scale=torch.ones(2)),
        "word": tensors("word", emb_params=torch.ones(2, WIDTH)),
        "named": tensors("named", rusty=torch.ones(WIDTH)),
        "xl word": tensors("xl-word", clip_l=torch.ones(2, WIDTH), clip_g=torch.ones(2, WIDTH)),
        "uneven": tensors("uneven", clip_l=torch.ones(2, WIDTH), clip_g=torch.ones(3, WIDTH)),
        "adapter": write_ip_adapter(tmp_path / "adapter" / "ip.safetensors", unet),
        "lonely": write_ip_adapter(tmp_path / "lonely.safetensors", unet),
        "other": write_ip_adapter(tmp_path / "adapter" / "other.safetensors", unet, picture=99),
        "face": tensors("face", ip_adapter__1__to_k_ip__weight=torch.ones(4, 16)),
        "two": tmp_path / "two",
        "none": tmp_path / "none.safetensors",
        "torn": tmp_path / "torn.safetensors",
        "pickle": tmp_path / "pickle.pt",
        "picture": tmp_path / "red.png",
        "mesh": tmp_path / "cube.obj",
    }  # fmt: skip


def _given(files: dict[str, Path], guidance: str | Path, **choices: Any) -> TextureArguments:
    named = {"prompt": "rusty word iron", "mesh": str(files["mesh"]), "guidance": str(guidance), **choices}
    return TextureArguments(**named)


def _loras(files: dict[str, Path], *names: str) -> dict[str, float]:
    return {str(files[name]): 0.8 for name in names}


def test_options_are_read_with_their_scales_and_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").touch()
    here = str(tmp_path)
    assert read_loras(["x.safetensors", "y=-0.5", "a=b"]) == {
        f"{here}/x.safetensors": 1.0, f"{here}/y": -0.5, f"{here}/a=b": 1.0
    }  # fmt: skip
    assert read_embeddings(["x", "y=<moss>", "a=b=<c>"]) == {
        f"{here}/x": "", f"{here}/y": "<moss>", f"{here}/a=b": "<c>"
    }  # fmt: skip
    assert read_loras([]) is None
    assert read_embeddings([]) is None
    for bad in (["x=much"], ["x", "x=2"]):
        with pytest.raises(ConfigError, match="--lora"):
            read_loras(bad)
    with pytest.raises(ConfigError, match="twice"):
        read_embeddings(["x", "x=y"])


def test_a_request_has_them_by_content_and_a_report_names_them(
    files: dict[str, Path], folders: dict[str, Path]
) -> None:
    given = _given(
        files,
        folders["sd15"],
        loras=_loras(files, "lora"),
        embeddings={str(files["word"]): "", str(files["named"]): ""},
        ip_adapter=str(files["adapter"].parent),
        reference=str(files["picture"]),
        reference_scale=0.7,
    )
    with pytest.raises(PgcError, match="holds 2 "):
        given.to_request()
    given = replace(given, ip_adapter=str(files["adapter"]))
    request = given.to_request()
    prior = request.guidance
    assert isinstance(prior, StableDiffusionSpec)
    assert [word.token for word in prior.added.embeddings] == ["word", "rusty"]
    assert prior.added.ip_adapter is not None
    assert prior.added.ip_adapter.scale == 0.7
    # The adapter has the scale: no palette pulls beside it.
    assert request.settings.optimize.likeness_scale == 0.0
    told = json.loads(json.dumps(plain(request)))["guidance"]["added"]
    (lora,) = told["loras"]
    content = hashlib.sha256(files["lora"].read_bytes()).hexdigest()
    assert (lora["path"], lora["sha256"], lora["scale"]) == (str(files["lora"]), content, 0.8)
    # A resumed run reads the same; one whose file has changed is another run.
    earlier = arguments_from_report({"arguments": json.loads(json.dumps(given.given()))}, TextureArguments())
    assert earlier.to_request().fingerprint() == request.fingerprint()
    moved = files["lora"].with_name("moved.safetensors")
    moved.write_bytes(files["lora"].read_bytes())
    elsewhere = replace(given, loras={str(moved): scale for scale in (given.loras or {}).values()})
    assert elsewhere.to_request().fingerprint() == request.fingerprint(), "the same file in another place"
    save_file(
        {f"{LORA}.lora_A.weight": torch.zeros(2, WIDTH), f"{LORA}.lora_B.weight": torch.ones(16, 2)}, files["lora"]
    )
    assert given.to_request().fingerprint() != request.fingerprint()


def test_runs_of_before_go_on(files: dict[str, Path], folders: dict[str, Path]) -> None:
    """A run without any of it has the fingerprint that it had before there was such a field."""
    request = replace(_given(files, folders["sd15"]), warm_start=False).to_request()
    fields = asdict(request.guidance)
    assert "added" in fields
    other = replace(request, guidance=replace(request.guidance, controlnet=None))  # type: ignore[type-var]
    assert other.fingerprint() != request.fingerprint()
    known = asdict(replace(request, device="auto"))
    del known["start"], known["rasterizer"], known["guidance"]["added"], known["guidance"]["run"]["memory"]
    del known["settings"]["optimize"]["warm_start"], known["settings"]["optimize"]["front_scale"], known["initial_maps"]
    del known["settings"]["texture"]["mask_start"], known["settings"]["texture"]["soft_edge"]
    del known["keep_by"], known["change_by"], known["settings"]["optimize"]["explained_light"]
    for name in ("mesh", "initial_texture", "lock_mask", "change_mask", "oracle_texture", "reference"):
        path = known[name]
        known[name] = None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
    text = json.dumps(known, sort_keys=True, default=str)
    assert hashlib.sha256(text.encode()).hexdigest() == request.fingerprint()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "choices", "said"),
    [
        ("pocket", {"loras": "lora"}, "--lora cannot be served by the built-in model"),
        ("pocket", {"ip_adapter": "adapter"}, "--ip-adapter cannot be served by the built-in model"),
        ("sd15", {"loras": "none"}, "there is no such file"),
        ("sd15", {"loras": "pickle"}, "not a .safetensors file"),
        ("sd15", {"loras": "two"}, "a folder; name the LoRA's .safetensors file"),
        ("sd15", {"loras": "torn"}, "cannot be read as safetensors"),
        ("sd15", {"loras": "wide"}, r"a token has SDXL \(2048\) numbers there, and 16 in"),
        ("sdxl", {"loras": "lora"}, "a token has 16 numbers there, and 32 in"),
        ("sd15", {"loras": "flow"}, "it is a LoRA for flow models"),
        ("sd15", {"loras": "loha"}, "is a LoHa"),
        ("sd15", {"loras": "dora"}, "is a DoRA"),
        ("sd15", {"loras": "word"}, "holds no LoRA"),
        ("sd15", {"embeddings": "pickle"}, "not a .safetensors file"),
        ("sd15", {"embeddings": "lora"}, "holds no learnt word"),
        ("sd15", {"embeddings": "xl word"}, "for 2 text encoders"),
        ("sd15", {"embeddings": "uneven"}, "has 2 vectors for one text encoder and 3"),
        ("sdxl", {"embeddings": "word"}, "for 1 text encoder, and"),
        ("sd15", {"ip_adapter": "lora"}, "holds no IP-Adapter"),
        ("sd15", {"ip_adapter": "face"}, "is an IP-Adapter for faces"),
        ("sd15", {"ip_adapter": "lonely"}, "in a folder image_encoder beside it, but there is none"),
        ("sd15", {"ip_adapter": "other"}, "one of 99 numbers, .* gives 24 numbers"),
        ("sd15", {"ip_adapter": "two"}, "a.safetensors, b.safetensors"),
        ("sdxl", {"ip_adapter": "adapter"}, "a token has 16 numbers there, and 32 in"),
        ("sd15", {"reference_by": "ip-adapter"}, "give its weights with --ip-adapter"),
        ("sd15", {"ip_adapter": "adapter", "reference_by": "palette"}, "leave one of the two away"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_is_loaded(
    model: str, choices: dict[str, str], said: str, files: dict[str, Path], folders: dict[str, Path]
) -> None:
    def value(name: str, text: str) -> Any:
        if name == "reference_by":
            return text
        path = str(files[text])
        return {"loras": {path: 1.0}, "embeddings": {path: ""}, "ip_adapter": path}[name]

    given = {name: value(name, text) for name, text in choices.items()}
    with pytest.raises(PgcError, match=said) as caught:
        _given(files, folders.get(model, model), reference=str(files["picture"]), **given).to_request()
    assert str(caught.value).count(". ") <= 1


def test_words_and_pictures_that_a_run_would_not_use_are_refused(
    files: dict[str, Path], folders: dict[str, Path]
) -> None:
    word = {str(files["word"]): "<moss>"}
    with pytest.raises(ConfigError, match="No prompt has the word '<moss>'"):
        _given(files, folders["sd15"], embeddings=word).to_request()
    for more in ({"negative": "not <MOSS>, ever"}, {"view_prompt": {"back": "+ <moss>"}}, {"prompt": "<moss>"}):
        _given(files, folders["sd15"], embeddings=word, **more).to_request()
    with pytest.raises(ConfigError, match="The IP-Adapter shows a picture"):
        _given(files, folders["sd15"], ip_adapter=str(files["adapter"])).to_request()
    with pytest.raises(ConfigError, match="--reference-by is palette, but no --reference"):
        _given(files, folders["sd15"], reference_by="palette").to_request()
    for token in ("two words", "a,b", "x" * 65):
        with pytest.raises(ConfigError, match="cannot stand in a prompt"):
            _given(files, folders["sd15"], embeddings={str(files["word"]): token}).to_request()
    with pytest.raises(ConfigError, match="stands for another file already"):
        _given(files, folders["sd15"], embeddings={str(files["word"]): "Rusty", str(files["named"]): ""}).to_request()


def test_a_run_is_resumed_with_files_that_were_moved(files: dict[str, Path], folders: dict[str, Path]) -> None:
    given = _given(files, folders["sd15"], prompt="a rust box", loras=_loras(files, "lora"))
    given = replace(given, embeddings={str(files["named"]): "rust"})
    report = json.loads(json.dumps({"arguments": given.given(), "resolved": plain(given.to_request())}))
    wanted = given.to_request().fingerprint()
    places = {name: files[name].with_name(f"elsewhere {name}.safetensors") for name in ("lora", "named")}
    for name, place in places.items():
        files[name].rename(place)
    with pytest.raises(PgcError, match="there is no such file"):
        arguments_from_report(report, TextureArguments()).to_request()
    [scale] = (given.loras or {}).values()

    def resumed(lora: str, **more: Any) -> TextureArguments:
        return arguments_from_report(report, TextureArguments(loras={lora: more.pop("scale", scale)}, **more))

    now = resumed(str(places["lora"]), embeddings={str(places["named"]): "rust"})
    assert now.to_request().fingerprint() == wanted, "its checkpoints fit"
    assert now.loras == {str(places["lora"]): scale}, "the report says where it is now"
    with pytest.raises(ConfigError, match="there is no such file"):
        resumed("/none.safetensors")
    with pytest.raises(ConfigError, match="is another file than the run's"):
        resumed(str(places["named"]))
    with pytest.raises(ConfigError, match="loras differ"):
        resumed(str(places["lora"]), scale=scale / 2)


def test_a_palette_is_what_a_reference_is_where_nothing_is_said(
    files: dict[str, Path], folders: dict[str, Path]
) -> None:
    for choices in ({}, {"reference_by": "palette"}):
        request = _given(files, folders["sd15"], reference=str(files["picture"]), **choices).to_request()
        assert request.settings.optimize.likeness_scale == 0.5
        assert isinstance(request.guidance, StableDiffusionSpec)
        assert request.guidance.added.ip_adapter is None
    request = _given(files, "pocket", reference=str(files["picture"]), reference_by="palette").to_request()
    assert isinstance(request.guidance, PocketSpec)


def test_a_server_is_not_told_files_of_this_machine(files: dict[str, Path]) -> None:
    path = str(files["lora"])
    check_remote_arguments(TextureArguments(loras={path: 1.0}, embeddings={path: ""}))  # type: ignore[call-arg]
    for choices in ({"ip_adapter": path}, {"reference_by": "ip-adapter"}):
        with pytest.raises(ConfigError, match=r"--ip-adapter is .*; with --server give a name"):
            check_remote_arguments(TextureArguments(**choices))  # type: ignore[arg-type]


def test_a_published_width_is_named_for_a_single_file(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"cond_stage_model.transformer.x": torch.ones(1)}, path)
    given = _given(files, path, loras=_loras(files, "wide"))
    with pytest.raises(ConfigError, match=r"SDXL \(2048\) numbers there, and Stable Diffusion 1 \(768\) in"):
        given.to_request()


def test_equal_files_make_equal_priors_and_no_others(files: dict[str, Path], folders: dict[str, Path]) -> None:
    """What is kept in memory is found by the specification: other files, scales or contents are another prior."""
    from pgc.runs.settings.choices import RunChoices
    from pgc.runs.settings.presets import resolve

    def spec(**choices: Any) -> Any:
        return resolve(RunChoices(**choices), StableDiffusionSpec(source=str(folders["sd15"]), controlnet=None))[0]

    one, path = spec(loras=_loras(files, "lora")), str(files["lora"])
    assert one == spec(loras=_loras(files, "lora"))
    assert one not in (spec(), spec(loras={path: 0.7}), spec(embeddings={str(files["word"]): ""}))
    assert isinstance(one, StableDiffusionSpec)
    assert not isinstance(one, SDXLSpec)
    loaded: Any = [load_guidance(each, torch.device("cpu")) for each in (spec(), one, spec())]
    first, changed, again = (each._model.unet.state_dict() for each in loaded)
    name = f"{LORA.removeprefix('unet.')}.weight"
    assert torch.equal(first[name], again[name])
    torch.testing.assert_close(changed[name], first[name] + 0.8 * 2.0)
