# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong when the server is installed."""

__all__ = ["InstallError"]


class InstallError(Exception):
    """The server cannot be installed or removed; the text is for the artist and says what to do."""
