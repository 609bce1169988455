# SPDX-License-Identifier: Apache-2.0
"""A grid means what its file and its options say, and what it cannot mean is refused by name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pgc.comparison.grid import BUNDLED_MESH, Grid, Method, options_known, parse_method, read_grid, spelling
from pgc.demo.assets import demo_mesh_path
from pgc.errors import ConfigError
from pgc.runs.settings.choices import choices_offered

GRID = """
prompts = ["red bricks", "blue checkered"]
meshes = "teapot"
seeds = [0, 1]

[common]
steps = 80
guidance = "pocket"

[methods.PGC]
clip = [0.1, 0.3]
depth = false

[methods."no clipping"]
regulation = "none"
loss = "sds"
"""


def written(tmp_path: Path, text: str, name: str = "grid.toml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_becomes_methods_by_name(tmp_path: Path) -> None:
    grid = Grid(**read_grid(written(tmp_path, GRID)))
    assert {method.name: dict(method.choices) for method in grid.methods} == {
        "PGC, clip 0.1": {"steps": 80, "guidance": "pocket", "clip_threshold": 0.1, "depth": False},
        "PGC, clip 0.3": {"steps": 80, "guidance": "pocket", "clip_threshold": 0.3, "depth": False},
        "no clipping": {"steps": 80, "guidance": "pocket", "regulation": "none", "distillation": "sds"},
    }
    assert grid.meshes == (BUNDLED_MESH,)
    assert len(grid.cases()) == 3 * 2 * 2
    first = [case.prompt for case in grid.cases()[:3]]
    assert first == ["red bricks"] * 3, "what is compared comes together"


def test_json_says_the_same(tmp_path: Path) -> None:
    content = {"prompts": ["red bricks"], "methods": {"A": {"clip": 0.1}, "B": {"noise": "surface"}}}
    methods = read_grid(written(tmp_path, json.dumps(content), "grid.json"))["methods"]
    assert [dict(method.choices) for method in methods] == [{"clip_threshold": 0.1}, {"noise": "surface"}]


def test_options_say_the_same() -> None:
    found = parse_method(
        "PGC at all: --clip=0.1,0.3 maps=roughness,metallic guidance-scale=15 loss=sds view-prompts=no"
    )
    assert [method.name for method in found] == ["PGC at all, clip 0.1", "PGC at all, clip 0.3"]
    assert dict(found[0].choices) == {
        "clip_threshold": 0.1,
        "maps": ("roughness", "metallic"),
        "guidance_scale": 15.0,
        "distillation": "sds",
        "view_prompts": False,
    }


def test_a_case_is_a_command_line(tmp_path: Path) -> None:
    (case,) = Grid(methods=parse_method("A: steps=3"), prompts=("red",), seeds=(7,)).cases()
    arguments = case.arguments("cpu")
    assert (arguments.mesh, arguments.prompt, arguments.seed, arguments.steps, arguments.device) == (
        str(demo_mesh_path()), "red", 7, 3, "cpu",
    )  # fmt: skip


def test_every_choice_of_a_run_can_be_compared_under_its_own_spelling() -> None:
    known = options_known()
    for name in choices_offered():
        if name != "seed":
            assert known[name] == name
            assert known[spelling(name)] == name
    assert spelling("distillation") == "loss"
    assert "seed" not in known
    assert "mesh" not in known


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prompts = [", "cannot be read as a grid"),
        ("prompt = ['a']", "has 'prompt'; a grid has prompts, meshes"),
        ("seeds = [0.5]", "seeds holds 0.5; expected whole numbers"),
        ("seeds = [true]", "seeds holds True; expected whole numbers"),
        ("prompts = [1]", "prompts holds 1; expected texts"),
        ("methods = 3", "methods is 3; expected a table"),
        ("[methods.A]\ncilp = 1", "'A' names 'cilp', which is no option of a method; did you mean clip?"),
        ("[methods.A]\nseed = 1", "it belongs to the grid, and not to a method"),
        ("[methods.A]\nclip = 'much'", "has clip = 'much'; expected a number"),
        ("[methods.A]\nsteps = 2.5", "has steps = 2.5; expected a whole number"),
        ("[methods.A]\ndepth = 1", "has depth = 1; expected true or false"),
        ("[methods.A]\nsteps = true", "has steps = True; expected a whole number"),
        ("[methods.A]\nclip = []", "gives clip no value"),
        ("[methods.A]\nloss = 'sdss'", "--loss is 'sdss'; expected one of sds"),
        ('[methods."a\\nb"]\nclip = 1', "expected 1 to 80 characters"),
    ],
)
def test_what_a_file_cannot_mean_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_grid(written(tmp_path, text))


@pytest.mark.parametrize("text", ["PGC", "PGC: clip", "PGC: clip=", ": clip=1", 'PGC: prompt="a'])
def test_what_an_option_cannot_mean_is_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--method is|name is"):
        parse_method(text)


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"prompts": ()}, "has no prompts"),
        ({"methods": ()}, "has no methods"),
        ({"seeds": (1, 1)}, "names 1 twice among its seeds"),
        ({"methods": (Method(name="A"), Method(name="A"))}, "names 'A' twice among its methods"),
        ({"seeds": tuple(range(10_001))}, "has 10,001 runs; expected at most 10,000"),
    ],
)
def test_a_grid_that_is_none(axes: dict[str, object], words: str) -> None:
    whole = {"methods": (Method(name="A"),), "prompts": ("red",), **axes}
    with pytest.raises(ConfigError, match=re.escape(words)):
        Grid(**whole)  # type: ignore[arg-type]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no file .*nothing.toml; name a grid"):
        read_grid(tmp_path / "nothing.toml")
