# SPDX-License-Identifier: Apache-2.0
"""The options of a command for what a person may choose of a run, from the table in `pgc.runs.settings.choices`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from pgc.runs.settings.choices import Offer, RunChoices, choices_offered
from pgc.runs.settings.offers import METHOD

__all__ = [
    "ChangeByOption",
    "ChangeMaskOption",
    "ControlModelOption",
    "EmbeddingOption",
    "InitMapOption",
    "InitTextureOption",
    "IpAdapterOption",
    "KeepByOption",
    "KeepUvsOption",
    "LoraOption",
    "PromptsOption",
    "RasterizerOption",
    "ReferenceOption",
    "SeedsOption",
    "UnwrapOption",
    "VariationsOption",
    "ViewPromptOption",
    "ViewPromptsOption",
    "takes_choices",
]

_PARAMETER = "choices"
_PRIOR = "Prior"
_MESH = "Mesh"
_SEVERAL = "Several runs of one mesh"
_START = "Start from a texture"

ReferenceOption = Annotated[
    str | None,
    typer.Option(
        help="Image whose colors the texture is to take, as far as the prompt lets it, or that the model looks at "
        "(--reference-by).",
        rich_help_panel=_PRIOR,
    ),
]
RasterizerOption = Annotated[
    str | None,
    typer.Option(
        help="What draws the views: auto, warp, or nvdiffrast (NVIDIA cards; not part of this package, and its "
        "licence is non-commercial).",
        rich_help_panel=_PRIOR,
    ),
]
ViewPromptOption = Annotated[
    list[str] | None,
    typer.Option(
        help="VIEW=TEXT: another prompt for front, side, back, overhead or underside; VIEW=+TEXT adds to the "
        "prompt. Once for each view.",
        rich_help_panel=_PRIOR,
    ),
]
ViewPromptsOption = Annotated[
    bool | None,
    typer.Option(
        "--view-prompts/--no-view-prompts", help="Add 'front view' and so on to the prompt.", rich_help_panel=_PRIOR
    ),
]
UnwrapOption = Annotated[
    bool | None, typer.Option("--unwrap", help="Make new UVs, however long it takes.", rich_help_panel=_MESH)
]
KeepUvsOption = Annotated[
    bool | None,
    typer.Option(
        "--keep-uvs",
        help="Texture the mesh's own UVs even where they repeat, overlap or have no area.",
        rich_help_panel=_MESH,
    ),
]
InitTextureOption = Annotated[
    str | None,
    typer.Option(
        help="Image of base colour to start from, 8 or 16 bits or EXR (NAME.<UDIM>.png for tiles), or a run's "
        "folder: all its maps.",
        rich_help_panel=_START,
    ),
]
InitMapOption = Annotated[
    list[str] | None,
    typer.Option(
        help="MAP=FILE: image of roughness, metallic, normal or occlusion to start from, beside --init-texture. Once "
        "for each.",
        rich_help_panel=_START,
    ),
]
ChangeMaskOption = Annotated[
    str | None,
    typer.Option(help="Image whose bright texels alone change; all others stay as they are.", rich_help_panel=_START),
]
ChangeByOption = Annotated[
    str | None,
    typer.Option(
        help="Only such texels change: edges, crevices, occlusion (dark places), thin, height or up, as the mesh has "
        "them; KIND=FROM..TO narrows it, such as height=0..0.3.",
        rich_help_panel=_START,
    ),
]
KeepByOption = Annotated[
    str | None,
    typer.Option(help="Such texels stay as they are, and all others change; as --change-by.", rich_help_panel=_START),
]
ControlModelOption = Annotated[
    list[str] | None,
    typer.Option(
        help="KIND=HUB_ID_OR_FOLDER: the ControlNet of a kind that --control lists, where it is not the published "
        "one. Once for each kind.",
        rich_help_panel=_PRIOR,
    ),
]
LoraOption = Annotated[
    list[str] | None,
    typer.Option(
        help="FILE or FILE=SCALE: a LoRA (.safetensors) for the model of --guidance. Once for each.",
        rich_help_panel=METHOD,
    ),
]
EmbeddingOption = Annotated[
    list[str] | None,
    typer.Option(
        help="FILE or FILE=WORD: a textual inversion (.safetensors) and the word that stands for it in the prompt. "
        "Once for each.",
        rich_help_panel=METHOD,
    ),
]
IpAdapterOption = Annotated[
    str | None,
    typer.Option(
        help="IP-Adapter (.safetensors, or a folder with it) by which the model looks at --reference; its "
        "image_encoder lies beside it.",
        rich_help_panel=METHOD,
    ),
]
"""Files that a model is given or shown, as `pgc texture` takes them."""
SeedsOption = Annotated[
    str | None,
    typer.Option(
        help="A run for each of these seeds, with commas between; each in a folder of its own in --out.",
        rich_help_panel=_SEVERAL,
    ),
]
VariationsOption = Annotated[
    int | None, typer.Option(help="So many runs, with seeds from --seed (or 0) on.", rich_help_panel=_SEVERAL)
]
PromptsOption = Annotated[
    Path | None,
    typer.Option(help="Text file with a prompt a line, each a run; in place of --prompt.", rich_help_panel=_SEVERAL),
]


def takes_choices(command: Callable[..., None]) -> Callable[..., None]:
    """Decorates a command: its parameter `choices` becomes an option for each choice that is offered.

    Raises:
        TypeError: the command has no such parameter.
    """
    signature = inspect.signature(command, eval_str=True)
    if _PARAMETER not in signature.parameters:
        raise TypeError(f"{command.__name__} has no parameter {_PARAMETER!r}; expected one to put options in place of.")
    offered = choices_offered()

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:  # noqa: ANN401 - as the command has them
        values = {name: _read(offer, given.pop(name, None)) for name, offer in offered.items()}
        command(**given, choices=RunChoices(**values))

    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        parameters += [_option(*row) for row in offered.items()] if name == _PARAMETER else [parameter]
    vars(wrapped)["__signature__"] = signature.replace(parameters=parameters)
    return wrapped


def _option(name: str, offer: Offer) -> inspect.Parameter:
    flags = () if offer.flag is None else (offer.flag,)
    option = typer.Option(*flags, help=offer.help, rich_help_panel=offer.panel)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(name, kind, default=None, annotation=Annotated[offer.kind | None, option])


def _read(offer: Offer, value: Any) -> Any:  # noqa: ANN401 - of the offer's kind
    return value if value is None or offer.read is None else offer.read(value)
