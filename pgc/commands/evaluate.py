# SPDX-License-Identifier: Apache-2.0
"""`pgc eval …`: handed to `pgc.evaluation`, which is imported only now."""

from __future__ import annotations

from typing import Annotated

import typer

from pgc.terminal.failures import reports_failures

__all__ = ["evaluate"]


@reports_failures
def evaluate(
    arguments: Annotated[list[str] | None, typer.Argument(help="A command of pgc eval and its options.")] = None,
) -> None:
    """Measures how good the textures are (pgc eval --help says what there is)."""
    from pgc.evaluation.commands import app

    app(args=arguments or [], prog_name="pgc eval")
