# SPDX-License-Identifier: Apache-2.0
"""How commands end when something is wrong: one sentence and exit code 2; 130 after Ctrl-C."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer

from server.errors import ServerError

__all__ = ["EXIT_ERROR", "EXIT_INTERRUPTED", "reports_failures"]

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

_P = ParamSpec("_P")
_T = TypeVar("_T")


def reports_failures(command: Callable[_P, _T]) -> Callable[_P, _T]:
    """A command whose expected errors come out as sentences. Unexpected ones keep their traceback."""

    @functools.wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return command(*args, **kwargs)
        except ServerError as error:
            typer.echo(f"pgc-server: {error}", err=True)
            raise typer.Exit(EXIT_ERROR) from error
        except KeyboardInterrupt as error:
            typer.echo("pgc-server: stopped.", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from error

    return wrapped
