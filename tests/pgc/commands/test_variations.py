# SPDX-License-Identifier: Apache-2.0
"""Several seeds or prompts in one command: each run is the one that its own command gives, byte for byte."""

import pytest
from typer.testing import CliRunner

import pgc.runs.request
from pgc.cli import app
from pgc.commands.texturing.variations import Wanted, variations_of
from pgc.errors import ConfigError
from pgc.runs.arguments import TextureArguments
from pgc.runs.report import read_report


@pytest.fixture
def pgc_texture(cube_obj, red_texture, tmp_path):
    def run(*more, out):
        tiny = ["--steps", "2", "--views", "1", "--resolution", "16", "--texture-size", "32", "--device", "cpu"]
        pictures = ["--preview-size", "16", "--no-turntable"]
        oracle = ["--guidance", "oracle", "--oracle-texture", str(red_texture)]
        where = ["texture", str(cube_obj), "--out", str(tmp_path / out)]
        return CliRunner().invoke(app, [*where, *oracle, *tiny, *pictures, *more])

    return run


@pytest.mark.slow
def test_each_seed_is_its_own_run_and_the_mesh_is_read_once(pgc_texture, tmp_path, monkeypatch):
    loaded, load = [], pgc.runs.request.load_prepared
    monkeypatch.setattr(pgc.runs.request, "load_prepared", lambda *given: loaded.append(1) or load(*given))
    several = pgc_texture("--prompt", "red", "--maps", "roughness", "--seeds", "3,5", out="several")
    assert several.exit_code == 0, several.stderr
    assert len(loaded) == 1
    assert pgc_texture("--prompt", "red", "--maps", "roughness", "--seed", "5", out="alone").exit_code == 0
    assert {path.name for path in (tmp_path / "several").iterdir()} == {"seed-3", "seed-5"}
    for name in ("base_color.png", "roughness.png", "textured.glb", "preview.png"):
        mine, other, alone = (tmp_path / folder / name for folder in ("several/seed-5", "several/seed-3", "alone"))
        assert mine.read_bytes() == alone.read_bytes(), name
        assert mine.read_bytes() != other.read_bytes(), name
    assert read_report(tmp_path / "several/seed-5/run.json")["arguments"]["seed"] == 5


@pytest.mark.slow
def test_prompts_of_a_file_and_going_on_with_some_of_them(pgc_texture, tmp_path):
    (tmp_path / "prompts.txt").write_text("red bricks\n\n  blue checker \n")
    given = ("--prompts", str(tmp_path / "prompts.txt"), "--variations", "2", "--seed", "7", "--resume-or-start")
    assert pgc_texture(*given, out="out").exit_code == 0
    names = ["prompt-1-seed-7", "prompt-1-seed-8", "prompt-2-seed-7", "prompt-2-seed-8"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert read_report(tmp_path / "out" / names[3] / "run.json")["arguments"]["prompt"] == "blue checker"
    again = pgc_texture(*given, out="out")
    assert again.exit_code == 0
    assert again.stderr.count("Finished already") == 4


def test_no_run_begins_where_a_later_one_has_no_place(pgc_texture, tmp_path):
    (tmp_path / "out/seed-5").mkdir(parents=True)
    (tmp_path / "out/seed-5/mine.txt").write_text("mine")
    refused = pgc_texture("--prompt", "red", "--seeds", "3,5", out="out")
    assert refused.exit_code != 0
    assert "seed-5 is not empty" in " ".join(refused.stderr.split())
    assert not (tmp_path / "out/seed-3").exists()


def test_what_is_alone_has_no_folder_of_its_own():
    given = TextureArguments(mesh="a.obj", prompt="red", seed=4)
    [only] = variations_of(given, Wanted())
    assert (only.name, only.given) == ("", given)
    assert [one.given.seed for one in variations_of(given, Wanted(count=3))] == [4, 5, 6]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted(seeds="1,2", count=2), "leave --seed and --variations out"),
        (Wanted(seeds="1,two"), "expected numbers with commas between"),
        (Wanted(seeds="1,,2"), "expected numbers with commas between"),
        (Wanted(seeds="-1,2"), "expected numbers with commas between"),
        (Wanted(seeds="1,01"), "name each seed once"),
        (Wanted(seeds="9" * 5000), "expected numbers with commas between"),
        (Wanted(count=1), "expected 2 to 256"),
        (Wanted(count=257), "expected 2 to 256"),
    ],
)
def test_seeds_that_are_none_are_refused(wanted, words):
    with pytest.raises(ConfigError, match=words):
        variations_of(TextureArguments(mesh="a.obj", prompt="red"), wanted)


def test_files_without_prompts_are_refused(tmp_path):
    given, path = TextureArguments(mesh="a.obj"), tmp_path / "prompts.txt"
    for content, words in ((b"\n \n", "no prompt in it"), (b"\xff\xfe\x00", "cannot be read")):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=words):
            variations_of(given, Wanted(prompts=path))
    with pytest.raises(ConfigError, match="cannot be read"):
        variations_of(given, Wanted(prompts=tmp_path / "absent.txt"))
    path.write_text("red\n" * 200)
    with pytest.raises(ConfigError, match="leave --prompt out"):
        variations_of(TextureArguments(mesh="a.obj", prompt="red"), Wanted(prompts=path))
    with pytest.raises(ConfigError, match="400 variations"):
        variations_of(given, Wanted(prompts=path, count=2))


def test_one_run_is_resumed_and_not_several(cube_obj, tmp_path):
    given = ["texture", str(cube_obj), "--resume", "--seeds", "1,2", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 2
    assert "--resume-or-start goes on with each" in " ".join(result.stderr.split())
