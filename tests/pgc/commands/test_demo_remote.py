# SPDX-License-Identifier: Apache-2.0
"""The demo over the wire, with a small server in this process that finishes every job at once."""

import pytest
from typer.testing import CliRunner

from blender_addon.client import Client
from pgc.cli import app
from pgc.commands.demo_remote import OverTheWire
from pgc.demo.config import DemoConfig, DemoPrompt
from pgc.demo.run import Texturize, demo_arguments, run_demo
from pgc.errors import GuidanceError
from pgc.guidance.specs import PocketSpec
from pgc.images.maps import encode_png
from pgc.pictures.contact_sheet import PreviewConfig
from pgc.remote.events import JobEvents, RemoteError
from pgc.remote.texturizer import RemoteHooks, RemoteTexturizer
from pgc.runs.folder import OutputConfig
from pgc.runs.settings.choices import RunChoices
from tests.blender_addon.client.fake_server import serving


@pytest.fixture
def config(red_texture):
    return DemoConfig(
        prompts=tuple(DemoPrompt(name=name, text=f"red {name}", oracle_texture=red_texture) for name in ("one", "two")),
        guidance="oracle",
        choices=RunChoices(steps=2, views=1, resolution=16),
        outputs=OutputConfig(preview=PreviewConfig(view_size=16), turntable=None),
    )


@pytest.fixture
def result():
    import torch

    return encode_png(torch.full((3, 16, 16), 77, dtype=torch.uint8))


@pytest.mark.slow
def test_every_prompt_is_a_job_and_gets_its_files(config, result, tmp_path):
    started = []

    def hooks_for(prompt):
        started.append(prompt.name)
        return RemoteHooks()

    connection = tmp_path / "connection.json"
    with serving(connection, result=result) as server, Client(connection) as client:
        texturizer = RemoteTexturizer(JobEvents(client, lambda text: None, 20.0), config.outputs)
        texturize = OverTheWire(texturizer, config, tmp_path / "demo", hooks_for)
        assert isinstance(texturize, Texturize)
        outcomes = run_demo(tmp_path / "demo", config, texturize)
    assert [outcome.finished for outcome in outcomes] == [True, True]
    assert started == ["one", "two"]
    assert [item.spec.prompt.text for item in server.submitted] == ["red one", "red two"]
    for name in ("one", "two"):
        assert (tmp_path / "demo" / name / "base_color.png").read_bytes() == result
    assert "http-equiv" not in (tmp_path / "demo" / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_without_a_server_the_wait_ends_with_a_sentence(config, tmp_path):
    with Client(tmp_path / "connection.json") as client:
        texturizer = RemoteTexturizer(JobEvents(client, lambda text: None, 0.3), config.outputs)
        texturize = OverTheWire(texturizer, config, tmp_path / "demo", lambda prompt: RemoteHooks())
        with pytest.raises(RemoteError, match="no server runs here"):
            run_demo(tmp_path / "demo", config, texturize)


def test_a_prior_that_is_not_there_is_refused(tmp_path):
    config = DemoConfig(guidance=str(tmp_path / "none"))
    with pytest.raises(GuidanceError):
        demo_arguments(config.prompts[0], config)


def test_mps_needs_no_server(tmp_path):
    result = CliRunner().invoke(app, ["demo", "--device", "mps", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "--no-server" in result.stderr


def test_more_maps_than_base_color_are_asked_for():
    config = DemoConfig().with_maps(("normal", "occlusion"))
    prior, settings = config.resolved()
    assert settings.maps == ("base_color", "roughness", "normal", "occlusion")
    assert isinstance(prior, PocketSpec)
    assert prior.prompt_suffix == ", soft lighting"
    arguments = demo_arguments(config.prompts[0], config).given()
    assert arguments["maps"] == "base_color,roughness,normal,occlusion"
    assert (arguments["steps"], arguments["texture_size"], arguments["seed"]) == (100, 512, 0), "every number explicit"
    assert DemoConfig().with_maps(("base_color",)) == DemoConfig()
