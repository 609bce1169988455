# SPDX-License-Identifier: Apache-2.0
"""`--view-prompt VIEW=TEXT`: what is asked for where a camera shows one side of the mesh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from pgc.errors import ConfigError

if TYPE_CHECKING:
    from pgc.cameras.view_names import ViewName

__all__ = ["prompts_of_views", "read_view_prompts"]

_BESIDE = "+"


def read_view_prompts(given: Sequence[str]) -> dict[ViewName, str] | None:
    """Reads what stands behind --view-prompt, by the view; None where nothing was given.

    Raises:
        ConfigError: no such view, nothing said of it, or one view twice.
    """
    if not given:
        # The names of views come with numpy, and `pgc --help` is to be quick.
        return None
    from pgc.cameras.view_names import VIEW_NAMES

    found: dict[ViewName, str] = {}
    for text in given:
        name, equals, words = text.partition("=")
        view, words = name.strip().lower(), words.strip()
        if view not in VIEW_NAMES or not equals:
            raise ConfigError(
                f"--view-prompt is {text!r}; expected VIEW=TEXT with one of {', '.join(VIEW_NAMES)}, such as "
                'back="mossy bricks", or back="+ mossy" to add to the prompt.'
            )
        if not words.removeprefix(_BESIDE).strip():
            raise ConfigError(f"--view-prompt {view} says nothing; give it words, or leave it out.")
        if view in found:
            raise ConfigError(f"--view-prompt names {view} twice; say all of it in one.")
        found[cast("ViewName", view)] = words
    return found


def prompts_of_views(
    prompt: str, wishes: Mapping[ViewName, str] | None, *, view_dependent: bool
) -> dict[ViewName, str]:
    """Returns the whole prompt of each view that has one of its own.

    Words behind a "+" stand beside the prompt and its view words; others stand in their place.
    """
    from pgc.cameras.view_names import view_prompt

    found: dict[ViewName, str] = {}
    for view, words in (wishes or {}).items():
        general = view_prompt(prompt, view) if view_dependent else prompt
        beside = words.startswith(_BESIDE)
        found[view] = f"{general}, {words.removeprefix(_BESIDE).strip()}" if beside else words
    return found
