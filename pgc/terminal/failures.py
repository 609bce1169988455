# SPDX-License-Identifier: Apache-2.0
"""How commands end when something is wrong: one sentence and exit code 2 (1: a fault of ours); 130 after Ctrl-C."""

from __future__ import annotations

import errno
import functools
import logging
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import typer

from pgc.errors import PgcError

__all__ = ["EXIT_ERROR", "EXIT_INTERNAL", "EXIT_INTERRUPTED", "FailureReporter", "reports_failures", "sentence_of"]

EXIT_ERROR = 2
EXIT_INTERNAL = 1
EXIT_INTERRUPTED = 130

_LOG = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")

_ADVICE = {
    errno.ENOSPC: "free some space there, or choose another place",
    errno.EDQUOT: "free some of your quota, or choose another place",
    errno.EFBIG: "the largest size of files is limited here (ulimit -f): raise it, or choose another place",
    errno.EACCES: "correct the rights, or choose another place",
    errno.EPERM: "correct the rights, or choose another place",
    errno.EROFS: "nothing can be written there: choose another place",
    errno.EMFILE: "raise the limit of open files (ulimit -n), and start again",
    errno.ENFILE: "the machine has too many files open: close some programs, and start again",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOMEM: "close some programs, or choose smaller sizes",
    errno.ENOTDIR: "a file lies where a folder is expected: choose another place",
    errno.EEXIST: "a file lies where a folder is expected: choose another place",
    errno.EISDIR: "a folder lies where a file is expected: choose another place",
    errno.EADDRINUSE: "another program uses this port: choose another",
}

_FOLDER_GONE = "The folder you work in is gone: change to another one, and start again."


def sentence_of(error: OSError) -> str:
    """Says what the system refused, where, and what to do: one sentence."""
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    where = f"{names[-1]}: " if names else ""
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno == errno.ENOENT and not names and "temporary" in reason:
        return f"{reason}: set TMPDIR to a folder that you may write to."
    if error.errno == errno.ENOENT and not _has_working_folder():
        return _FOLDER_GONE
    advice = _ADVICE.get(error.errno or 0, "check that it is there and may be used")
    return f"{where}{reason[:1].lower() + reason[1:] if names else reason}; {advice}."


def _has_working_folder() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class FailureReporter:
    """A decorator of commands: expected errors come out as sentences, and unexpected ones as one that says so.

    Expected is also what the operating system refuses, such as a full disk: no program can rule that out.

    Attributes:
        program: the name before the sentence.
        expected: the root of the errors that the program raises on purpose.
        needs_folder: whether a working folder that is gone is said before a command begins. Libraries of mathematics
            end the process in words of their own there, when they are first used.
    """

    program: str
    expected: type[Exception]
    needs_folder: bool = False

    def __call__(self, command: Callable[_P, _T]) -> Callable[_P, _T]:
        """The command, which ends by typer.Exit where it would have raised an expected error."""

        @functools.wraps(command)
        def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            """Runs the command and ends the program with a sentence where it fails."""
            try:
                if self.needs_folder and not _has_working_folder():
                    raise self._end(_FOLDER_GONE, EXIT_ERROR)
                return command(*args, **kwargs)
            except self.expected as error:
                raise self._end(str(error), EXIT_ERROR) from error
            except KeyboardInterrupt as error:
                raise self._end("stopped.", EXIT_INTERRUPTED) from error
            except MemoryError as error:
                _LOG.info("out of memory", exc_info=True)
                text = "The memory of this machine is used up; close some programs, or choose smaller sizes."
                raise self._end(text, EXIT_ERROR) from error
            except OSError as error:
                if error.errno == errno.EPIPE:
                    raise  # Whoever read our output has gone: `run_program` ends in silence.
                _LOG.info("refused by the system", exc_info=True)
                raise self._end(sentence_of(error), EXIT_ERROR) from error
            except (typer.Exit, typer.Abort, typer.BadParameter):
                raise
            except Exception as error:
                _LOG.info("an internal error", exc_info=True)
                raise self._end(self._internal(error), EXIT_INTERNAL) from error

        return wrapped

    def _internal(self, error: Exception) -> str:
        frames = traceback.extract_tb(error.__traceback__)
        place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        # One line, however much the error has to say.
        what = " ".join(f"{type(error).__name__}{place}: {error}".split())[:300]
        return (
            f"an internal error, which is a fault of this program and not of your files ({what}); please report it, "
            "with this line and the command."
        )

    def _end(self, text: str, code: int) -> typer.Exit:
        typer.echo(f"{self.program}: {text}", err=True)
        return typer.Exit(code)


reports_failures = FailureReporter("pgc", PgcError, needs_folder=True)
