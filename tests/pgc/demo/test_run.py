# SPDX-License-Identifier: Apache-2.0
import pytest

from pgc.commands.finished_run import load_run
from pgc.demo.config import DemoConfig, DemoPrompt
from pgc.demo.run import InProcess, demo_arguments, run_demo
from pgc.errors import ConfigError
from pgc.pictures.contact_sheet import PreviewConfig
from pgc.pictures.turntable import TurntableConfig
from pgc.pocket.data.captions import vocabulary
from pgc.runs.folder import OutputConfig
from pgc.runs.runner import RunHooks
from pgc.runs.settings.choices import RunChoices


@pytest.fixture
def config(red_texture):
    return DemoConfig(
        prompts=tuple(DemoPrompt(name=name, text=f"red {name}", oracle_texture=red_texture) for name in ("one", "two")),
        guidance="oracle",
        choices=RunChoices(steps=2, views=1, resolution=16, texture_size=64),
        outputs=OutputConfig(preview=PreviewConfig(view_size=16), turntable=TurntableConfig(size=16, frames=2)),
    )


@pytest.mark.slow
def test_every_prompt_gets_its_files_and_a_place_on_the_page(config, tmp_path):
    texturize = InProcess(config, "cpu")
    loaded = []

    def watched(prompt, folder):
        loaded.append(texturize.shared.guidance)
        return texturize(prompt, folder)

    outcomes = run_demo(tmp_path, config, watched)
    assert all(outcome.finished for outcome in outcomes)
    # The second run uses what the first one loaded.
    assert loaded[0] is None
    assert texturize.shared.guidance is loaded[1]
    for name in ("one", "two"):
        files = {path.name for path in (tmp_path / name).iterdir()}
        assert files == {"base_color.png", "textured.glb", "preview.png", "turntable.webp", "run.json"}
        # As `pgc export` does.
        assert load_run(tmp_path / name)[1].size == 64
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count("<model-viewer alt=") == 2
    assert "http-equiv" not in page


@pytest.mark.slow
def test_a_stopped_demo_leaves_a_page_of_what_there_is(config, tmp_path):
    stopping = InProcess(config, "cpu", lambda prompt: RunHooks(should_stop=lambda: True))
    outcomes = run_demo(tmp_path, config, stopping)
    assert [outcome.finished for outcome in outcomes] == [False]
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Not finished yet" in page


@pytest.mark.slow
def test_a_run_that_was_stopped_before_it_had_a_model_is_no_error(config, tmp_path):
    def nothing(prompt, folder):
        outcome = InProcess(config, "cpu", lambda prompt: RunHooks(should_stop=lambda: True))(prompt, folder)
        (folder.path / "textured.glb").unlink()
        return outcome

    assert [outcome.finished for outcome in run_demo(tmp_path, config, nothing)] == [False]
    assert "Not finished yet" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_the_demos_own_prompts_use_words_that_the_prior_knows():
    groups = vocabulary()
    known = {word for name, words in groups.items() if name != "untrained" for word in words}
    for prompt in DemoConfig().prompts:
        assert set(prompt.text.split()) <= known, prompt.text


def test_the_demo_runs_the_pocket_prior_on_the_bundled_mesh():
    config = DemoConfig()
    request = demo_arguments(config.prompts[0], config, "cpu").to_request()
    assert request.mesh.name == "teapot.obj"
    assert request.device == "cpu"
    assert (request.guidance, request.settings) == config.resolved()


@pytest.mark.parametrize("name", ["Bricks", "a/b", "", ".."])
def test_names_that_are_no_folder_names_are_refused(name):
    with pytest.raises(ConfigError):
        DemoPrompt(name=name, text="x")


def test_names_must_differ():
    with pytest.raises(ConfigError, match="all different"):
        DemoConfig(prompts=(DemoPrompt(name="a", text="x"), DemoPrompt(name="a", text="y")))
