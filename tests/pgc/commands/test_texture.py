# SPDX-License-Identifier: Apache-2.0
"""`pgc texture` as a person types it, in this process; tests/e2e does the same in a process of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from pgc.cli import app
from pgc.errors import ConfigError, MeshError
from pgc.mesh import load_mesh
from pgc.runs.arguments import TextureArguments, arguments_from_report
from pgc.runs.report import read_report
from pgc.terminal.interrupts import InterruptFlag


@pytest.fixture
def pgc_texture(cube_obj, red_texture, tmp_path):
    """Runs the command with the oracle and tiny settings; more options and other values by argument."""

    def run(*more, mesh=cube_obj, out=tmp_path / "out"):
        tiny = ["--steps", "2", "--views", "1", "--resolution", "16", "--texture-size", "32", "--device", "cpu"]
        pictures = ["--preview-size", "16", "--no-turntable"]
        oracle = ["--prompt", "red", "--guidance", "oracle", "--oracle-texture", str(red_texture)]
        return CliRunner().invoke(app, ["texture", str(mesh), "--out", str(out), *oracle, *tiny, *pictures, *more])

    return run


@pytest.mark.slow
def test_results_and_their_names(pgc_texture, tmp_path):
    result = pgc_texture("--seed", "5", "--front", "+x", "--up", "z", "--preset", "draft", "--no-view-prompts")
    assert result.exit_code == 0, result.stderr
    assert "base_color.png, textured.glb, preview.png in" in result.stderr.replace("\n", " ")
    report = read_report(tmp_path / "out" / "run.json")
    resolved = report["resolved"]
    assert report["seed"] == 5
    assert resolved["prompt"]["front_axis"] == "+x"
    assert resolved["prompt"]["view_dependent"] is False
    assert resolved["up_axis"] == "z"
    assert report["arguments"]["preset"] == "draft"
    assert "negative" not in report["arguments"]


@pytest.mark.slow
def test_a_command_that_is_repeated_begins_once_and_is_done_then(pgc_texture, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".pgc-4194305-0123456789ab.json").touch()  # of a process that cannot be
    assert pgc_texture("--resume-or-start").exit_code == 0
    first = (out / "run.json").read_bytes()
    again = pgc_texture("--resume-or-start")
    assert again.exit_code == 0
    assert "Finished already" in again.stderr
    assert (out / "run.json").read_bytes() == first
    # Another run is not taken for this one's result.
    other = pgc_texture("--resume-or-start", "--seed", "9")
    assert other.exit_code == 2
    assert "seed differ" in other.stderr
    report = json.loads(first)
    (out / "run.json").write_text(json.dumps({**report, "state": "running"}))
    begun_anew = pgc_texture("--resume-or-start")
    assert begun_anew.exit_code == 0, begun_anew.stderr
    assert read_report(out / "run.json")["state"] == "finished"


@pytest.mark.slow
def test_a_command_that_is_repeated_writes_over_nothing_foreign(pgc_texture, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/holiday.jpg").touch()
    refused = pgc_texture("--resume-or-start")
    assert refused.exit_code == 2
    assert "not empty" in refused.stderr


@pytest.mark.slow
def test_a_second_run_into_the_same_folder_needs_leave(pgc_texture):
    assert pgc_texture().exit_code == 0
    refused = pgc_texture()
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert pgc_texture("--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--front", "z"], "--front is 'z'; expected one of -y, +y, -x, +x"),
        (["--up", "x"], "--up is 'x'"),
        (["--preset", "best"], "draft, standard, fine"),
        (["--device", "tpu"], "auto, cpu, cuda, mps"),
        (["--texture-size", "100"], "power of two"),
        (["--steps", "0"], "1 or more"),
        (["--preview-size", "8"], "preview.view_size"),
        (["--lock-mask", "m.png"], "--init-texture"),
        (["--init-texture", "nowhere.png"], "no image"),
        (["--resume", "--overwrite"], "one of them"),
        (["--resume", "--resume-or-start"], "one of them"),
        (["--overwrite", "--resume-or-start"], "one of them"),
    ],
)
def test_bad_options_are_one_sentence_and_exit_code_2(pgc_texture, tmp_path, more, words):
    result = pgc_texture(*more)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out" / "base_color.png").exists()


@pytest.mark.parametrize(
    "content", ["", "hello\n", "v 0 0 0\nv 1 0 0\nv nan 1 0\nf 1 2 3\n", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n"]
)
def test_bad_meshes_are_one_sentence_and_exit_code_2(pgc_texture, tmp_path, content):
    mesh = tmp_path / "bad.obj"
    mesh.write_text(content)
    result = pgc_texture(mesh=mesh)
    assert result.exit_code == 2
    assert "pgc: " in result.stderr
    assert "bad" in result.stderr
    assert "Traceback" not in result.output


def test_mesh_and_prompt_are_needed():
    result = CliRunner().invoke(app, ["texture"])
    assert result.exit_code == 2
    assert "--prompt" in result.stderr


def test_an_initial_texture_brings_its_size(cube_obj, red_texture):
    arguments = TextureArguments(
        mesh=str(cube_obj), prompt="red", guidance="oracle", init_texture=str(red_texture), oracle_texture="x.png"
    )
    assert arguments.to_request().settings.texture.texture_size == 32


@pytest.mark.parametrize("name", ["base_color.png", "base_color.1001.png"])
def test_an_initial_folder_brings_its_size(cube_obj, red_texture, tmp_path, name):
    shutil.copy(red_texture, tmp_path / name)
    arguments = TextureArguments(
        mesh=str(cube_obj), prompt="red", guidance="oracle", init_texture=str(tmp_path), oracle_texture="x.png"
    )
    assert arguments.to_request().settings.texture.texture_size == 32


def test_resuming_without_a_run_is_refused(pgc_texture):
    result = pgc_texture("--resume")
    assert result.exit_code == 2
    assert "run.json" in result.stderr


def test_a_resumed_run_takes_its_settings_from_the_report():
    stored = {"arguments": {"mesh": "/m.obj", "prompt": "red", "steps": 9, "device": "cuda"}}
    assert arguments_from_report(stored, TextureArguments()) == TextureArguments(**stored["arguments"])
    moved = arguments_from_report(stored, TextureArguments(prompt="red", device="cpu"))
    assert (moved.steps, moved.device) == (9, "cpu")
    redrawn = arguments_from_report(stored, TextureArguments(rasterizer="warp"))
    assert (redrawn.steps, redrawn.device, redrawn.rasterizer) == (9, "cuda", "warp")
    with pytest.raises(ConfigError, match="steps differ"):
        arguments_from_report(stored, TextureArguments(steps=10))


@pytest.mark.parametrize(
    ("optimize", "server", "warm"),
    [({"steps": 170}, {}, False), ({"steps": 170}, {"key": "k"}, None), ({"steps": 70, "warm_start": {}}, {}, True)],
)
def test_a_run_goes_on_as_it_began_whatever_runs_do_today(optimize, server, warm):
    arguments = {"mesh": "/m.obj", "prompt": "red"}
    stored = {"arguments": arguments, "resolved": {"settings": {"optimize": optimize}}, "server": server}
    assert arguments_from_report(stored, TextureArguments()) == TextureArguments(
        **arguments, warm_start=warm, steps=None if server else optimize["steps"]
    )


def test_a_run_of_a_strength_keeps_the_steps_it_began_with():
    """Strengths have meant other numbers of steps."""
    arguments = {"mesh": "/m.obj", "prompt": "red", "guidance": "sdxl", "init_texture": "/t.png", "strength": 0.5}
    stored = {
        "arguments": {**arguments, "texture_size": 64},
        "resolved": {"settings": {"optimize": {"steps": 1400, "warm_start": None}}},
    }
    optimize = arguments_from_report(stored, TextureArguments()).to_request().settings.optimize
    assert (optimize.steps, optimize.warm_start) == (1400, None)


@pytest.mark.parametrize("content", [{}, {"arguments": {}}, {"arguments": {"colour": "red"}}])
def test_reports_without_our_arguments_are_refused(content):
    with pytest.raises(ConfigError, match="lacks its arguments"):
        arguments_from_report(content, TextureArguments())


@pytest.fixture
def python_sigint():
    """Python's own handler: a suite that was started in the background ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_signal_raises_the_flag_and_the_second_acts(python_sigint):
    with InterruptFlag() as flag:
        flag.arm()
        os.kill(os.getpid(), signal.SIGINT)
        assert flag.raised
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_unarmed_and_after_its_end_the_flag_leaves_signals_alone():
    before = signal.getsignal(signal.SIGINT)
    with InterruptFlag() as flag:
        assert signal.getsignal(signal.SIGINT) == before
        flag.arm()
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
    assert not flag.raised


@pytest.mark.slow
def test_maps_come_as_files_and_the_report_says_how(pgc_texture, tmp_path):
    result = pgc_texture("--maps", "metallic,normal,occlusion")
    assert result.exit_code == 0, result.stderr
    report = read_report(tmp_path / "out" / "run.json")
    maps = ["base_color", "roughness", "metallic", "normal", "occlusion"]
    assert report["resolved"]["settings"]["maps"] == maps
    assert report["resolved"]["settings"]["material"]["lighting"]["reference"] == "known"
    assert {f"{name}.png" for name in (*maps, "orm")} <= set(report["files"])
    assert report["arguments"]["maps"] == "metallic,normal,occlusion"


def test_unknown_maps_are_refused_with_what_there_is(pgc_texture, tmp_path):
    result = pgc_texture("--maps", "base_color,gloss")
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert "'gloss'; the maps are base_color, roughness, metallic, normal, occlusion" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_stopped_lit_run_resumes_with_its_maps(pgc_texture, tmp_path):
    assert pgc_texture("--maps", "roughness").exit_code == 0
    stored = read_report(tmp_path / "out" / "run.json")
    with pytest.raises(ConfigError, match="maps differ"):
        arguments_from_report(stored, TextureArguments(maps=("metallic",)))
    assert arguments_from_report(stored, TextureArguments()).maps == ("roughness",)
    assert stored["arguments"]["maps"] == "roughness"


@pytest.mark.slow
def test_separate_slots_matter_where_there_are_two(pgc_texture, cube_obj, tmp_path):
    lines = cube_obj.read_text().splitlines(keepends=True)
    faces = [index for index, line in enumerate(lines) if line.startswith("f ")]
    lines.insert(faces[len(faces) // 2], "usemtl other\n")
    lines.insert(faces[0], "usemtl one\n")
    two = tmp_path / "two.obj"
    two.write_text("".join(lines))

    def picture(mesh, *more):
        out = tmp_path / f"out-{mesh.stem}-{len(more)}"
        result = pgc_texture(*more, mesh=mesh, out=out)
        assert result.exit_code == 0, result.stderr
        return (out / "base_color.png").read_bytes()

    assert picture(cube_obj) == picture(cube_obj, "--separate-slots")
    assert picture(two) != picture(two, "--separate-slots")


def test_a_mesh_that_is_not_there_is_said_in_the_readers_words_before_torch_is_imported(tmp_path):
    code = (
        "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules)); "
        "from pgc.cli import main; sys.argv = ['pgc', 'texture', *sys.argv[1:]]; main()"
    )
    missing = tmp_path / "nowhere.obj"
    arguments = [str(missing), "--prompt", "red", "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "False\n")
    with pytest.raises(MeshError) as refusal:
        load_mesh(missing)
    assert done.stderr.splitlines()[-1] == f"pgc: {refusal.value}"
    assert not (tmp_path / "out").exists()
