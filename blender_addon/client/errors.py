# SPDX-License-Identifier: Apache-2.0
"""Errors that the client's own calls raise. What goes wrong later, in its thread, is an event instead."""

__all__ = ["ClientClosedError", "ClientError", "ConnectionFileError", "NoConnectionFileError"]


class ClientError(Exception):
    """Root of the client's errors; the text says what was got, what was expected and what to do."""


class ConnectionFileError(ClientError):
    """The server's connection file is missing, damaged, or readable by others."""


class NoConnectionFileError(ConnectionFileError):
    """There is no connection file: no server runs."""


class ClientClosedError(ClientError):
    """A call to a client that was closed."""
