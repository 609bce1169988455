# SPDX-License-Identifier: GPL-3.0-or-later
"""What build_addon.py may switch off in the zip that it writes."""

__all__ = ["INSTALL_SERVER"]

INSTALL_SERVER = True
