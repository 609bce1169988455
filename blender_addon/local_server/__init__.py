# SPDX-License-Identifier: GPL-3.0-or-later
"""The server on this computer as the add-on sees it: where it is, how it is installed, started and stopped."""
