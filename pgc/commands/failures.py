# SPDX-License-Identifier: Apache-2.0
"""How commands end when something is wrong: one sentence and exit code 2; 130 after Ctrl-C."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import typer

from pgc.errors import PgcError

__all__ = ["EXIT_ERROR", "EXIT_INTERRUPTED", "FailureReporter", "reports_failures"]

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class FailureReporter:
    """A decorator of commands: expected errors come out as sentences, unexpected ones keep their traceback.

    Attributes:
        program: the name before the sentence.
        expected: the root of the errors that the program raises on purpose.
    """

    program: str
    expected: type[Exception]

    def __call__(self, command: Callable[_P, _T]) -> Callable[_P, _T]:
        """The command, which ends by typer.Exit where it would have raised an expected error."""

        @functools.wraps(command)
        def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            try:
                return command(*args, **kwargs)
            except self.expected as error:
                typer.echo(f"{self.program}: {error}", err=True)
                raise typer.Exit(EXIT_ERROR) from error
            except KeyboardInterrupt as error:
                typer.echo(f"{self.program}: stopped.", err=True)
                raise typer.Exit(EXIT_INTERRUPTED) from error

        return wrapped


reports_failures = FailureReporter("pgc", PgcError)
