# SPDX-License-Identifier: Apache-2.0
"""How both programs begin and end, whatever the machine is like."""

from __future__ import annotations

import contextlib
import errno
from typing import NoReturn

import typer

from pgc.terminal.failures import EXIT_ERROR, sentence_of
from pgc.terminal.streams import (
    EXIT_READER_GONE,
    finish_output,
    let_errors_go_unread,
    open_missing_streams,
    show_every_character,
)

__all__ = ["run_program"]


def run_program(app: typer.Typer, program: str) -> NoReturn:
    """Runs a command line to its end, and leaves. What the machine refuses is one sentence and exit code 2."""
    open_missing_streams()
    let_errors_go_unread()
    show_every_character()
    raise SystemExit(finish_output(_code_of(app, program)))


def _code_of(app: typer.Typer, program: str) -> int:
    try:
        app(prog_name=program)
    except SystemExit as ended:
        return _as_number(ended.code)
    except OSError as error:
        # From outside of the commands, which `reports_failures` guards: help texts, options, their last words.
        if error.errno == errno.EPIPE:
            return EXIT_READER_GONE
        with contextlib.suppress(OSError):
            typer.echo(f"{program}: {sentence_of(error)}", err=True)
        return EXIT_ERROR
    return 0


def _as_number(code: object) -> int:
    if code is None:
        return 0
    return code if isinstance(code, int) else 1
