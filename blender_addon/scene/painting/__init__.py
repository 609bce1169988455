# SPDX-License-Identifier: GPL-3.0-or-later
"""Texture Paint on masks and on versions."""
