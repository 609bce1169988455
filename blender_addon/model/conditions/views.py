# SPDX-License-Identifier: GPL-3.0-or-later
"""What single views are to be, as `pgc texture --view-prompt` has it."""

from __future__ import annotations

__all__ = ["VIEWS", "VIEW_SETTINGS", "prompts_of_views"]

VIEWS = ("front", "side", "back", "overhead", "underside")
VIEW_SETTINGS = tuple(f"{view}_prompt" for view in VIEWS)
_BESIDE = "+"


def prompts_of_views(prompt: str, settings: object) -> dict[str, str]:
    """Returns the prompts of those views that have their own: in place of the prompt, or beside it, after a "+"."""
    found: dict[str, str] = {}
    for view, name in zip(VIEWS, VIEW_SETTINGS, strict=True):
        words = str(getattr(settings, name)).strip()
        beside = words.removeprefix(_BESIDE).strip()
        if beside:
            found[view] = f"{prompt}, {view} view, {beside}" if words.startswith(_BESIDE) else words
    return found
