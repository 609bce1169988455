# SPDX-License-Identifier: Apache-2.0
"""Files that a job brings for its model are in its prior alone; what is wrong with one is said by its own name."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from blender_addon.protocol.errors import FieldError, ProtocolError
from blender_addon.protocol.specs.job import (
    ConditionsSpec,
    ControlSpec,
    EmbeddingSpec,
    LoraSpec,
    ModelSpec,
    PromptSpec,
    ReferenceSpec,
    SettingsSpec,
    ShapeSpec,
)
from pgc.errors import ConfigError
from pgc.guidance.control_specs import ControlSpec as PgcControlSpec
from pgc.guidance.control_specs import ControlWish
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.specs import StableDiffusionSpec, load_guidance
from pgc.images.maps import encode_maps
from pgc.remote.job import remote_job
from pgc.runs.arguments import TextureArguments
from pgc.runs.request import load_prepared, load_sources
from pgc.runs.settings.added import with_embeddings, with_ip_adapter, with_loras
from server.cli import app
from server.gate.validation import validate
from server.recipes import prepare
from server.worker.checkpoints import Saved, save
from server.worker.job import keep_job, run_job
from server.worker.keeping import AbsentPrior
from server.worker.tools import Ending, JobTools
from tests.pgc.guidance.conftest import write_model
from tests.pgc.guidance.diffusion.added.made import make_pairs, write_encoder, write_ip_adapter, write_lora

TINY = {"steps": 1, "views": 1, "resolution": 64, "texture_size": 32, "warm_start": False}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"), xl=False)


@pytest.fixture(scope="module")
def load(model):
    """Loads the tiny model in the place of the published one, with what is added to that."""
    run = LatentDiffusionConfig(dtype="float32", vae_dtype="float32")

    def tiny(prior, device):
        assert isinstance(prior, StableDiffusionSpec)
        return load_guidance(replace(prior, source=str(model), controlnet=None, run=run), device)

    return tiny


def names(layer):
    return f"{layer}.lora_A.weight", f"{layer}.lora_B.weight"


@pytest.fixture
def lora_file(tmp_path, load):
    unet = load(StableDiffusionSpec(), torch.device("cpu"))._model.components.unet
    path = tmp_path / "Mossy stone.safetensors"
    return write_lora(path, make_pairs({"unet": unet}), names)


@pytest.fixture
def lora_job(stored_job, lora_file):
    """A job for Stable Diffusion with a LoRA, in the store."""

    def write(scale=1.0, content=None, **more):
        data = np.frombuffer(lora_file.read_bytes() if content is None else content, np.uint8)
        lora = LoraSpec(file=stored_job.put(data), scale=scale, name=lora_file.name)
        settings = replace(stored_job.spec.settings, **TINY)
        guidance = ModelSpec(model="sd15", loras=(lora,))
        stored_job.write(replace(stored_job.spec, guidance=guidance, settings=settings, **more))
        return stored_job

    return write


@pytest.fixture
def word_file(tmp_path, load):
    width = load(StableDiffusionSpec(), torch.device("cpu"))._model.components.text_encoders[0].config.hidden_size
    path = tmp_path / "rust.safetensors"
    save_file({"emb_params": torch.randn(2, width, generator=torch.Generator().manual_seed(3))}, path)
    return path


@pytest.fixture
def run_command():
    def run(*arguments):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        return result.output

    return run


def done(job, load, cpu):
    tools = JobTools(
        paths=job.paths, store=job.store, device=cpu, guidance_for=load, send=lambda *_: None, checkpoint_seconds=3600.0
    )
    return tools, run_job(tools, job.name, 1, resume=False)


@pytest.mark.slow
def test_a_job_has_the_bytes_of_a_run_with_the_file(lora_job, lora_file, load, arrays, cpu, monkeypatch):
    job, looked_at = lora_job(scale=2.0), []
    monkeypatch.setattr("server.worker.job_files.require_whole", lambda paths, store, sha256: looked_at.append(sha256))
    tools, outcome = done(job, load, cpu)
    assert outcome.ending is Ending.DONE, outcome.error

    def run_with(*files):
        spec = replace(job.spec, guidance=replace(job.spec.guidance, loras=()))
        run = prepare(spec, arrays.read, cpu, lambda prior, device: load(with_loras(prior, dict(files)), device))
        for _ in run.optimization.steps():
            pass
        return encode_maps(run.bake())["base_color"][1001]

    assert looked_at == [job.spec.guidance.loras[0].file.sha256], "hundreds of MB, once a job"
    made = tools.store.read(outcome.result.maps[0].sha256)
    assert made == run_with((lora_file, 2.0))
    assert made != run_with()
    added = json.loads(tools.store.read(outcome.result.config_json_sha256))["resolved"]["guidance"]["added"]
    [told] = added["loras"]
    assert (told["path"], told["scale"]) == ("Mossy stone.safetensors", 2.0), "no path of the server"
    assert told["sha256"] == job.spec.guidance.loras[0].file.sha256


@pytest.mark.slow
def test_a_file_for_another_model_is_said_by_its_name(lora_job, load, cpu, tmp_path):
    pairs = {"unet.down_blocks.9.nothing": (torch.ones(2, 4), torch.ones(4, 2))}
    job = lora_job(content=write_lora(tmp_path / "other.safetensors", pairs, names).read_bytes())
    _, outcome = done(job, load, cpu)
    assert outcome.ending is Ending.FAILED
    assert outcome.error.field == "guidance.loras"
    assert "Mossy stone.safetensors" in outcome.error.text
    assert str(job.paths.root) not in outcome.error.text


@pytest.mark.slow
def test_a_learnt_word_is_read_as_in_a_run_with_the_file(stored_job, word_file, load, arrays, cpu):
    word = EmbeddingSpec(
        file=stored_job.put(np.fromfile(word_file, np.uint8)), word="Rusty", name="my words/rust.safetensors"
    )
    settings = replace(stored_job.spec.settings, **TINY)
    prompt, guidance = PromptSpec(text="a rusty box"), ModelSpec(model="sd15", embeddings=(word,))
    stored_job.write(replace(stored_job.spec, prompt=prompt, settings=settings, guidance=guidance))
    tools, outcome = done(stored_job, load, cpu)
    assert outcome.ending is Ending.DONE, outcome.error

    def run_with(**files):
        spec = replace(stored_job.spec, guidance=ModelSpec(model="sd15"))
        named = {word_file: files["word"]} if files else {}
        run = prepare(spec, arrays.read, cpu, lambda prior, device: load(with_embeddings(prior, named), device))
        for _ in run.optimization.steps():
            pass
        return encode_maps(run.bake())["base_color"][1001]

    made = tools.store.read(outcome.result.maps[0].sha256)
    assert made == run_with(word="Rusty")
    assert made != run_with()
    added = json.loads(tools.store.read(outcome.result.config_json_sha256))["resolved"]["guidance"]["added"]
    [told] = added["embeddings"]
    assert (told["path"], told["token"]) == ("my words/rust.safetensors", "Rusty"), "no path of the server"


@pytest.mark.slow
def test_what_the_owner_has_named_is_what_a_run_with_the_files_has(
    stored_job, model, load, arrays, cpu, tmp_path, run_command
):
    """A ControlNet and an IP-Adapter, named by the command, chosen by name, told by name."""
    unet = load(StableDiffusionSpec(), cpu)._model.components.unet
    write_encoder(tmp_path / "image_encoder")
    adapter = write_ip_adapter(tmp_path / "adapter.safetensors", unet)
    net, root = model / "controlnet", stored_job.paths.root
    picture = np.full((8, 8, 3), (200, 30, 90), np.uint8)
    image = stored_job.put(picture)
    arrays.known[image.sha256] = picture
    job = replace(
        stored_job.spec,
        guidance=ModelSpec(model="sd15"),
        settings=replace(stored_job.spec.settings, **TINY),
        conditions=ConditionsSpec(
            controls=(ControlSpec(kind="normal", scale=0.5, model="mine"),),
            reference=ReferenceSpec(image=image, scale=1.0, adapter="plus"),
        ),
    )
    stored_job.write(job)
    with pytest.raises(ProtocolError, match="has no normal of the name mine") as refused:
        validate(stored_job.paths, stored_job.store, stored_job.name)
    assert refused.value.error.field == "conditions.controls[0].model"
    own = ("--data", str(tmp_path / "server"))
    run_command("models", "name", "normal", "mine", str(net), *own)
    run_command("models", "name", "ip-adapter", "plus", str(adapter), *own)
    assert "normal   mine: " in run_command("models", "list", *own)
    shutil.copytree(tmp_path / "server" / "models", stored_job.paths.models)
    assert validate(stored_job.paths, stored_job.store, stored_job.name) == job
    tools, outcome = done(stored_job, load, cpu)
    assert outcome.ending is Ending.DONE, outcome.error

    def run_with(control, scale):
        look = replace(job.conditions.reference, adapter="", scale=0.0)
        shown = replace(job.conditions, controls=(ControlSpec(kind="shuffle"),), reference=look)

        def with_files(prior, device):
            wish = ControlWish(kind="normal", scale=0.5)
            controls = (PgcControlSpec(wish=wish, source=str(net)),) if control else ()
            plain = replace(prior, controls=controls, controlnet=None)
            return load(with_ip_adapter(plain, adapter, scale), device)

        run = prepare(replace(job, conditions=shown), arrays.read, cpu, with_files)
        for _ in run.optimization.steps():
            pass
        return encode_maps(run.bake())["base_color"][1001]

    made = tools.store.read(outcome.result.maps[0].sha256)
    assert made == run_with(control=True, scale=1.0)
    assert made != run_with(control=False, scale=1.0)
    assert made != run_with(control=True, scale=0.0)
    told = json.loads(tools.store.read(outcome.result.config_json_sha256))["resolved"]["guidance"]
    assert told["controls"][0]["source"] == "named:mine"
    assert {told["added"]["ip_adapter"][name] for name in ("path", "image_encoder")} == {"named:plus"}
    assert str(root) not in json.dumps(told)


@pytest.mark.slow
def test_a_shape_has_them_too(lora_job, load, cpu):
    job = lora_job()
    mesh = replace(job.spec.meshes[0], polygon_index=None, corner_normals=None)
    settings = SettingsSpec(preset="draft", steps=1, views=1, resolution=64)
    job.write(replace(job.spec, meshes=(mesh,), settings=settings, maps=("shape",), shape=ShapeSpec()))
    tools, outcome = done(job, load, cpu)
    assert outcome.ending is Ending.DONE, outcome.error
    added = json.loads(tools.store.read(outcome.result.config_json_sha256))["resolved"]["guidance"]["added"]
    assert [lora["path"] for lora in added["loras"]] == ["Mossy stone.safetensors"]


def test_the_gate_takes_a_whole_file(lora_job):
    job = lora_job()
    assert validate(job.paths, job.store, job.name) == job.spec


@pytest.mark.parametrize(
    "content",
    [
        b"no header at all, but long enough",
        (5).to_bytes(8, "little") + b"[[[[[",
        (2).to_bytes(8, "little") + b"{}",
        (900).to_bytes(8, "little") + b"{}",
        (2**63).to_bytes(8, "little") + b"{}",
        len(b'{"a":{"data_offsets":[0,99]}}').to_bytes(8, "little") + b'{"a":{"data_offsets":[0,99]}}',
        len(b'{"a":{"data_offsets":"ab"}}').to_bytes(8, "little") + b'{"a":{"data_offsets":"ab"}}',
        len(b'{"a":3}').to_bytes(8, "little") + b'{"a":3}',
    ],
)
def test_the_gate_refuses_what_is_no_whole_file(lora_job, content):
    job = lora_job(content=content)
    with pytest.raises(ProtocolError, match=r"Mossy stone\.safetensors is no whole \.safetensors file"):
        validate(job.paths, job.store, job.name)


def test_what_a_specification_cannot_ask_for(stored_job):
    ref = stored_job.put(np.zeros(64, np.uint8))
    lora = LoraSpec(file=ref)
    for model, word in (("pocket", "built-in"), ("oracle", "oracle")):
        with pytest.raises(FieldError, match=word):
            ModelSpec(model=model, loras=(lora,))
    with pytest.raises(FieldError, match="once"):
        ModelSpec(model="sd15", loras=(lora, lora))
    with pytest.raises(FieldError, match="at most 8"):
        ModelSpec(model="sd15", loras=(lora,) * 9)
    for scale in (5.1, -6.0):
        with pytest.raises(FieldError, match="scale"):
            LoraSpec(file=ref, scale=scale)
    for wrong in (np.zeros((8, 8), np.uint8), np.zeros(64, np.float32), np.zeros(3, np.uint8)):
        with pytest.raises(FieldError, match="bytes of a file"):
            LoraSpec(file=stored_job.put(wrong))
    assert stored_job.spec.refs().keys() & {"guidance.loras[0].file"} == set()
    more = replace(stored_job.spec, guidance=ModelSpec(model="sd15", loras=(lora,)))
    assert more.refs()["guidance.loras[0].file"] == ref
    with pytest.raises(FieldError, match="New UVs need no model"):
        replace(more, maps=("corner_uvs",))


def test_what_a_specification_cannot_ask_of_learnt_words(stored_job):
    word = EmbeddingSpec(file=stored_job.put(np.zeros(64, np.uint8)), word="moss")
    other = EmbeddingSpec(file=stored_job.put(np.ones(64, np.uint8)), word="MOSS")
    for model in ("pocket", "oracle", "flux"):
        with pytest.raises(FieldError, match="cannot be taught words"):
            ModelSpec(model=model, embeddings=(word,))
    for twice in ((word, other), (word, replace(word, word="fern"))):
        with pytest.raises(FieldError, match="each word and each file once"):
            ModelSpec(model="sd15", embeddings=twice)
    with pytest.raises(FieldError, match="at most 8"):
        ModelSpec(model="sd15", embeddings=(word,) * 9)
    for text in ("", "two words", "a,b", "x" * 65):
        with pytest.raises(FieldError, match="without blanks"):
            replace(word, word=text)
    guidance = ModelSpec(model="sd15", embeddings=(word,))
    with pytest.raises(FieldError, match="No prompt has the word 'moss'"):
        replace(stored_job.spec, prompt=PromptSpec(text="mossy stone"), guidance=guidance)
    said = replace(stored_job.spec, prompt=PromptSpec(text="stone", per_view={"back": "Moss, wet"}), guidance=guidance)
    assert said.refs()["guidance.embeddings[0].file"] == word.file
    with pytest.raises(FieldError, match=r"guidance\.embeddings.*New UVs need no model"):
        replace(said, maps=("corner_uvs",))
    stored_job.write(said)
    with pytest.raises(ProtocolError, match=r"The file is no whole \.safetensors file"):
        validate(stored_job.paths, stored_job.store, stored_job.name)


def test_what_cannot_be_given_a_name_is_said_before_it_is_on_the_list(tmp_path, lora_file):
    own = ("--data", str(tmp_path / "server"))
    for kind, source, words in (
        ("normal", tmp_path, "Expected a ControlNet's folder"),
        ("normal", lora_file, "is no folder"),
        ("ip-adapter", lora_file, "holds no IP-Adapter"),
        ("ip-adapter", tmp_path / "none.safetensors", "there is no such file"),
        ("lora", lora_file, "There is no kind 'lora'"),
    ):
        result = CliRunner().invoke(app, ("models", "name", kind, "mine", str(source), *own))
        assert (result.exit_code, words in result.output) == (2, True), result.output
    assert not (tmp_path / "server").exists()
    result = CliRunner().invoke(app, ("models", "forget", "normal", "mine", *own))
    assert (result.exit_code, "There is no normal of the name mine" in result.output) == (2, True)


def test_names_are_for_models_that_can_use_them(stored_job):
    image = stored_job.put(np.zeros((8, 8, 3), np.uint8))
    looks = ConditionsSpec(reference=ReferenceSpec(image=image, adapter="plus"))
    sees = ConditionsSpec(controls=(ControlSpec(kind="depth", model="mine"),))
    for conditions, field in ((looks, "conditions.reference.adapter"), (sees, r"conditions.controls\[0\].model")):
        for model in ("pocket", "flux"):
            with pytest.raises(FieldError, match=field):
                replace(stored_job.spec, guidance=ModelSpec(model=model), conditions=conditions)
        replace(stored_job.spec, guidance=ModelSpec(model="sdxl"), conditions=conditions)
    with pytest.raises(FieldError, match="expected a name of a-z"):
        ControlSpec(kind="depth", model="/etc")
    with pytest.raises(FieldError, match="expected a name of a-z"):
        ReferenceSpec(image=image, adapter="a b")


def test_the_oracle_and_the_built_in_model_take_none(lora_file):
    from pgc.guidance.specs import PocketSpec

    with pytest.raises(ConfigError, match="takes no LoRA"):
        with_loras(PocketSpec(), {lora_file: 1.0})
    with pytest.raises(ConfigError, match="takes no learnt words"):
        with_embeddings(PocketSpec(), {lora_file: "moss"})


def test_the_command_line_sends_the_bytes(cube_obj, lora_file, tmp_path):
    word_file = tmp_path / "rusty.safetensors"
    save_file({"emb_params": torch.ones(1, 768)}, word_file)
    given = TextureArguments(
        mesh=str(cube_obj),
        prompt="rusty red",
        guidance="sd15",
        loras={str(lora_file): 0.5},
        embeddings={str(word_file): ""},
        warm_start=False,
    )
    request = given.to_request()
    mesh = load_prepared(request, lambda stage, fraction: None)
    job = remote_job(given, request, mesh, load_sources(request, mesh))
    [lora] = job.spec.guidance.loras
    assert (lora.scale, lora.name) == (0.5, lora_file.name)
    assert job.arrays[lora.file.sha256].tobytes() == lora_file.read_bytes()
    [word] = job.spec.guidance.embeddings
    assert (word.word, word.name) == ("rusty", "rusty.safetensors"), "its name, read here: a server has bytes alone"
    assert job.arrays[word.file.sha256].tobytes() == word_file.read_bytes()


@pytest.mark.slow
def test_what_a_cancelled_job_had_made_is_kept_though_its_files_are_gone(stored_job, cpu):
    """A forgotten name, a lost LoRA: keeping takes no step and needs neither."""
    ref = stored_job.put(np.zeros(64, np.uint8))
    job = replace(
        stored_job.spec,
        guidance=ModelSpec(model="sd15", loras=(LoraSpec(file=ref, name="moss.safetensors"),)),
        settings=replace(stored_job.spec.settings, **TINY),
        conditions=ConditionsSpec(controls=(ControlSpec(kind="normal", model="mine"),)),
    )
    stored_job.write(job)
    read = lambda array: np.frombuffer(stored_job.store.read(array.sha256), array.dtype.numpy).reshape(array.shape)  # noqa: E731
    run = prepare(job, read, cpu, AbsentPrior.of)
    tensors, header = run.optimization.state_dict()
    save(stored_job.paths, stored_job.name, Saved(tensors=tensors, header={**header, "step": 1}, plan=0))
    stored_job.store.path(ref.sha256).unlink()
    tools = JobTools(
        paths=stored_job.paths,
        store=stored_job.store,
        device=cpu,
        guidance_for=AbsentPrior.of,
        send=lambda *_: None,
        checkpoint_seconds=3600.0,
    )
    outcome = keep_job(tools, stored_job.name, 2)
    assert (outcome.ending, outcome.error) == (Ending.CANCELLED, None)
    assert outcome.result is not None
    assert any("gone from the server" in warning for warning in outcome.result.warnings)
    assert run_job(tools, stored_job.name, 3, resume=True).error is not None, "a job that goes on needs them"
