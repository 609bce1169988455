# SPDX-License-Identifier: Apache-2.0
"""Errors of the server's processes. What goes to a client is a `WireError` instead, without paths."""


class ServerError(Exception):
    """Root of the server's errors; the text says what was got, what was expected and what to do."""


class ConfigError(ServerError):
    """A setting that cannot be used, for example a wildcard address."""


class AlreadyRunningError(ServerError):
    """Another server holds the lock of this data directory."""


class ListenError(ServerError):
    """Clients cannot connect where they are to: the port is taken, or the address is none of this machine's."""


class JournalError(ServerError):
    """The journal cannot be opened, or is of another version."""


class DamagedJournalError(JournalError):
    """The journal's bytes are no database, or a broken one."""


class BlobError(ServerError):
    """A blob is missing, or its bytes do not have the hash that was promised."""


class InternalMessageError(ServerError):
    """Bytes between the server's own processes that are no message of `server.children.messages`."""


class SpawnError(ServerError):
    """A child process could not be started."""
