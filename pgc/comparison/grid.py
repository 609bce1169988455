# SPDX-License-Identifier: Apache-2.0
"""What is compared: methods by their names, on prompts, meshes and seeds; from a file, from options, or from both.

    prompts = ["red bricks", "blue checkered"]
    meshes = ["teapot", "chair.obj"]
    seeds = [0, 1, 2]

    [common]
    steps = 80

    [methods.PGC]
    clip = [0.1, 0.3]

    [methods."no clipping"]
    regulation = "none"

A method is made of options of `pgc texture`, by their names. An option with several values makes a method of each.
"""

from __future__ import annotations

import difflib
import json
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import product
from pathlib import Path
from typing import Any

from pgc.demo.assets import demo_mesh_path
from pgc.errors import ConfigError
from pgc.runs.arguments import TextureArguments
from pgc.runs.settings.choices import Offer, choices_offered

__all__ = ["BUNDLED_MESH", "Case", "Grid", "Method", "options_known", "parse_method", "read_grid", "spelling"]

BUNDLED_MESH = "teapot"
"""What stands in the place of a path for the mesh that comes with pgc."""
_AXES = ("seed", "mesh", "prompt", "device", "oracle_texture")
"""What a method may not name: the grid has it, or it does not change what comes out."""
_KEYS = ("prompts", "meshes", "seeds", "common", "methods")
_LONGEST_NAME, _MOST_RUNS = 80, 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """Settings of a run under the name that the page shows."""

    name: str
    choices: Mapping[str, Any] = field(default_factory=dict)
    """Values of `TextureArguments`, by its names."""

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > _LONGEST_NAME or not self.name.isprintable():
            raise ConfigError(f"The method's name is {self.name!r}; expected 1 to {_LONGEST_NAME} characters.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run of the grid."""

    method: Method
    prompt: str
    mesh: str
    seed: int

    def arguments(self, device: str | None = None) -> TextureArguments:
        """Returns the run as a command line would name it."""
        path = str(demo_mesh_path()) if self.mesh == BUNDLED_MESH else self.mesh
        given = {**self.method.choices, "prompt": self.prompt, "seed": self.seed, "device": device}
        return TextureArguments(mesh=path, **given).with_absolute_paths().expanded()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Every method on every prompt, mesh and seed.

    Raises:
        ConfigError: an axis is empty, names something twice, or there are too many runs.
    """

    methods: tuple[Method, ...]
    prompts: tuple[str, ...]
    meshes: tuple[str, ...] = (BUNDLED_MESH,)
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        axes: dict[str, Sequence[object]] = {
            "methods": [method.name for method in self.methods],
            "prompts": self.prompts,
            "meshes": self.meshes,
            "seeds": self.seeds,
        }
        runs = 1
        for name, values in axes.items():
            if not values:
                raise ConfigError(f"The comparison has no {name}; name one or more.")
            twice = next((value for at, value in enumerate(values) if value in values[:at]), None)
            if twice is not None:
                raise ConfigError(f"The comparison names {twice!r} twice among its {name}; name each once.")
            runs *= len(values)
        if runs > _MOST_RUNS:
            raise ConfigError(f"The comparison has {runs:,} runs; expected at most {_MOST_RUNS:,}. Leave some out.")

    def cases(self) -> tuple[Case, ...]:
        """Returns the runs, those of one mesh together, and of one prompt and seed side by side, so that what is
        interrupted can be compared as far as it came."""
        rows = product(self.meshes, self.seeds, self.prompts, self.methods)
        return tuple(Case(method=method, prompt=prompt, mesh=mesh, seed=seed) for mesh, seed, prompt, method in rows)


def options_known() -> dict[str, str]:
    """Returns what a method may say, by its spelling, with the name that `TextureArguments` has for it."""
    choices = choices_offered()
    names = {item.name: item.name for item in fields(TextureArguments) if item.name not in _AXES}
    flags = {_spelling(offer): name for name, offer in choices.items() if offer.flag and name not in _AXES}
    return {**names, **flags}


def _spelling(offer: Offer) -> str:
    return (offer.flag or "").split("/")[0].removeprefix("--").replace("-", "_")


def read_grid(path: Path) -> dict[str, Any]:
    """Reads a grid's file, TOML or JSON, as far as its outline: what `Grid` needs may still be missing.

    Raises:
        ConfigError: the file is missing, unreadable, or says what a grid has no place for.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except FileNotFoundError as error:
        raise ConfigError(f"There is no file {path}; name a grid in TOML or JSON, or use --method.") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as a grid ({error}); expected TOML, or JSON in a .json.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no table; expected {', '.join(_KEYS)}.")
    unknown = sorted(set(content) - set(_KEYS))
    if unknown:
        raise ConfigError(f"{path} has {unknown[0]!r}; a grid has {', '.join(_KEYS)}.")
    found: dict[str, Any] = {name: tuple(_listed(path, name, content[name])) for name in _KEYS[:3] if name in content}
    common = _table(f"{path}: common", content.get("common", {}))
    methods: list[Method] = []
    for name, settings in _table(f"{path}: methods", content.get("methods", {})).items():
        methods += _expanded(name, {**common, **_table(f"{path}: methods.{name}", settings)})
    if methods or common:
        found["methods"] = tuple(methods or _expanded("default", common))
    return found


def parse_method(text: str) -> tuple[Method, ...]:
    """Reads `NAME: option=value option=value` as --method has it; commas between values make a method of each.

    Raises:
        ConfigError: it is not of this form, or names what no run has.
    """
    name, colon, settings = text.partition(":")
    try:
        words = shlex.split(settings)
    except ValueError as error:
        raise ConfigError(f"--method is {text!r}, with a quotation mark that does not end ({error}).") from error
    pairs = [word.partition("=") for word in words]
    if not colon or not all(sign and value for _, sign, value in pairs):
        raise ConfigError(f"--method is {text!r}; expected 'NAME: option=value option=value', such as 'PGC: clip=0.1'.")
    known = options_known()
    chosen = {
        # A list of maps is one value.
        option: value if known.get(_word(option)) == "maps" else value.split(",")
        for option, _, value in pairs
    }
    return tuple(_expanded(name.strip(), chosen))


def spelling(name: str) -> str:
    """Returns how a grid spells a value of `TextureArguments`."""
    offer = choices_offered().get(name)
    return (_spelling(offer) if offer is not None else "") or name


def _word(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def _listed(path: Path, name: str, value: object) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    kind = int if name == "seeds" else str
    for one in values:
        if not isinstance(one, kind) or isinstance(one, bool):
            expected = "whole numbers" if kind is int else "texts"
            raise ConfigError(f"{path}: {name} holds {one!r}; expected {expected}.")
    return values


def _table(where: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is {value!r}; expected a table.")
    return value


def _expanded(name: str, settings: Mapping[str, Any]) -> list[Method]:
    """The method, or one for each combination of the values of its lists, named after these."""
    known = options_known()
    choices: dict[str, list[Any]] = {}
    for option, value in settings.items():
        if _word(option) not in known:
            near = difflib.get_close_matches(_word(option), known, n=1)
            hint = f"did you mean {near[0]}?" if near else "see pgc texture --help."
            if _word(option) in _AXES:
                hint = "it belongs to the grid, and not to a method."
            raise ConfigError(f"The method {name!r} names {option!r}, which is no option of a method; {hint}")
        values = value if isinstance(value, list) else [value]
        if not values:
            raise ConfigError(f"The method {name!r} gives {option} no value; leave it away.")
        choices[known[_word(option)]] = [_value(name, option, known[_word(option)], one) for one in values]
    several = [option for option, values in choices.items() if len(values) > 1]
    found: list[Method] = []
    for row in product(*choices.values()):
        chosen = dict(zip(choices, row, strict=True))
        parts = [f"{spelling(option)} {_shown(chosen[option])}" for option in several]
        found.append(Method(name=", ".join([name, *parts]) if parts else name, choices=chosen))
    return found


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _value(method: str, option: str, name: str, value: Any) -> Any:  # noqa: ANN401 - of any choice
    """From what stands in a file or on the command line to the choice's value."""
    offer = choices_offered().get(name)
    kind: type = (str if offer is None else offer.kind) if name not in _SWITCHES else bool
    wrong = ConfigError(f"The method {method!r} has {option} = {value!r}; expected {_EXPECTED[kind]}.")
    if kind is bool:
        words = {True: True, False: False, "true": True, "yes": True, "false": False, "no": False}
        word = value.lower() if isinstance(value, str) else value
        if not isinstance(word, str | bool) or word not in words:
            raise wrong
        return words[word]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise wrong
    try:
        # A whole number stays one: int("2.5") is no 2.
        made = kind(str(value)) if kind is not float else float(value)
    except ValueError as error:
        raise wrong from error
    return made if offer is None or offer.read is None else offer.read(str(made))


_SWITCHES = ("view_prompts", "unwrap", "keep_uvs")
_EXPECTED: dict[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}
