# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators for the server: connection, installing, starting, stopping."""
