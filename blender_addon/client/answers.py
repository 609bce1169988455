# SPDX-License-Identifier: Apache-2.0
"""What to make of an answer that is not the one hoped for."""

from __future__ import annotations

from ..protocol.errors import ErrorCode, Retry, WireError
from ..protocol.messages import Error

__all__ = ["is_busy", "unexpected"]


def is_busy(message: object) -> bool:
    """Says whether the same may be asked again after a while."""
    return isinstance(message, Error) and message.error.code in (ErrorCode.BUSY, ErrorCode.DRAINING)


def unexpected(message: object) -> WireError:
    """Returns the error for an answer of a kind that makes no sense here."""
    return WireError(
        code=ErrorCode.INTERNAL,
        retry=Retry.NEVER,
        text=f"The server answered with {type(message).__name__}, which does not fit the question.",
        hint="Bring the add-on and the server to the same version.",
    )
