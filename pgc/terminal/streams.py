# SPDX-License-Identifier: Apache-2.0
"""Standard output and standard error on other people's machines: closed, full, cut off, or without an arrow.

Set once at the start of a program, by `pgc.terminal.program`.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from typing import TextIO

__all__ = [
    "EXIT_READER_GONE",
    "ProgressStream",
    "finish_output",
    "let_errors_go_unread",
    "open_missing_streams",
    "show_every_character",
]

EXIT_READER_GONE = 141
"""What a shell shows for a program that ended because nobody reads its output: 128 + SIGPIPE."""

_POLICY = "pgc.plain"
_PLAIN = {
    "→": "->",
    "←": "<-",
    "…": "...",
    "–": "-",
    "—": "-",
    "−": "-",
    "×": "x",
    "·": "-",
    "•": "-",
    "≤": "<=",
    "≥": ">=",
    "±": "+-",
    "°": " deg",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "\u00a0": " ",
    "\u202f": " ",
    "\u2009": " ",
}
"""What our own texts use, for outputs that lack it. Letters of names come out as \\xe9 or \\u65e5: nothing is lost."""


def _in_plain_characters(error: UnicodeError) -> tuple[str, int]:
    """The error handler of that policy: what the output's encoding lacks, in ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    shown = (_PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode() for character in text)
    return "".join(shown), error.end


def open_missing_streams() -> None:
    """Gives a process that was started with closed standard streams the null device in their place.

    Otherwise the next file that it opens becomes its standard output, and every library's message ends up in it; and
    Python's own stream is None, which few libraries expect.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY if number else os.O_RDONLY)
            if null != number:
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            # For as long as the program runs.
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def show_every_character() -> None:
    """Makes the output take every text: what its encoding lacks is written in plain characters."""
    codecs.register_error(_POLICY, _in_plain_characters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_POLICY)


def let_errors_go_unread() -> None:
    """Makes standard error take every text, also where its reader has gone or its disk is full.

    Otherwise the sentence that nobody reads ends the program by an exit code of its own: what was wrong would be
    told apart no more.
    """
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _Unfailing(sys.stderr)


class _Unfailing(io.TextIOWrapper):
    """A text stream over another one's file, which loses what cannot be written, from the first failure on."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        super().__init__(stream.buffer, stream.encoding, stream.errors, line_buffering=True, write_through=True)
        # Without a reference it would end, and close the file.
        self._stream = stream

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            self._lose()
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            self._lose()

    def _lose(self) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def finish_output(code: int) -> int:
    """Writes out what is still held back; returns the exit code, which says so where that fails."""
    problem = _flushed(sys.stdout)
    if problem is not None:
        if problem.errno == errno.EPIPE:
            code = code or EXIT_READER_GONE
        else:
            code = 2
            _say(f"The output cannot be written ({problem.strerror}); write it to a place with room.")
    _flushed(sys.stderr)
    return code


def _say(text: str) -> None:
    try:
        sys.stderr.write(f"{text}\n")
    except (OSError, AttributeError):
        return  # Nobody can be told; the exit code says it.


def _flushed(stream: TextIO | None) -> OSError | None:
    """What kept a stream from being flushed; then nothing goes to it any more, so that Python ends in silence."""
    if stream is None:
        return None
    try:
        stream.flush()
    except OSError as error:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        return error
    return None


class ProgressStream(io.TextIOBase):
    """Standard error for lines about progress: when it fails, the run goes on in silence. Its results are files."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The encoding of the stream behind it."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Says whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Returns the number of the stream behind it."""
        if self._stream is None:
            raise io.UnsupportedOperation("There is no standard error.")
        return self._stream.fileno()

    def writable(self) -> bool:
        """Returns True, always."""
        return True

    def write(self, text: str, /) -> int:
        """Writes all of it, or nothing from the first failure on."""
        if self._stream is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except OSError:
                self._give_up()
        return len(text)

    def flush(self) -> None:
        """Flushes the stream behind it; see `write`."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except OSError:
                self._give_up()

    def _give_up(self) -> None:
        stream, self._stream = self._stream, None
        _flushed(stream)
