# SPDX-License-Identifier: Apache-2.0
"""The demo's part in Blender: what it does without one, and that it says what went wrong."""

import pytest

import build_addon
from pgc.demo.page import BLENDER_LIGHTS, BLENDER_PROMPT, PageEntry, page_html
from tests.blender import demo
from tests.blender.blender_process import BlenderProcess, ProbeError


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    for name in BLENDER_LIGHTS.values():
        (folder / name).touch()
    return folder


def test_without_blender_it_says_so_and_an_old_picture_goes(out, monkeypatch, capsys):
    monkeypatch.setattr(demo, "find_blender", lambda _environment: None)
    assert demo.main(["--out", str(out)]) == 0
    assert "No Blender here" in capsys.readouterr().out
    assert not any((out / name).exists() for name in BLENDER_LIGHTS.values())


def test_without_wheels_it_says_so(out, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "find_blender", lambda _environment: BlenderProcess(program="x", is_module=True))
    assert demo.main(["--out", str(out), "--wheels", str(tmp_path)]) == 0
    assert "Got no wheel of pyzmq" in capsys.readouterr().out


def test_a_failure_in_blender_is_a_failure(out, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "find_blender", lambda _environment: BlenderProcess(program="x", is_module=True))
    for package in build_addon.WHEELS:
        (tmp_path / f"{package}-1-py3-none-any.whl").touch()

    def fail(*_arguments):
        raise ProbeError("planted")

    monkeypatch.setattr(demo, "run", fail)
    assert demo.main(["--out", str(out), "--wheels", str(tmp_path)]) == 1
    assert "planted" in capsys.readouterr().out


def test_a_server_that_does_not_come_up_is_said(tmp_path, monkeypatch):
    class Server:
        connection = tmp_path / "connection.json"

        def failure(self):
            return "The server cannot be started: planted"

    with pytest.raises(ProbeError, match="planted"):
        demo._wait_for(Server())
    monkeypatch.setattr(demo, "SERVER_LIMIT", 0.0)
    monkeypatch.setattr(Server, "failure", lambda _self: None)
    with pytest.raises(ProbeError, match="not up after 0 s"):
        demo._wait_for(Server())
    Server.connection.touch()
    demo._wait_for(Server())


def test_the_page_names_the_prompt(tmp_path):
    assert BLENDER_PROMPT in page_html(tmp_path, [PageEntry(name="a", prompt="b")])


def test_every_light_has_an_environment_and_a_picture_on_the_page(tmp_path):
    assert [environment.name for environment in demo.environments()] == [
        light.replace(" ", "_") for light in BLENDER_LIGHTS
    ]
    page = page_html(tmp_path, [PageEntry(name="a", prompt="b")])
    assert all(f'src="{name}"' in page for name in BLENDER_LIGHTS.values())
