# SPDX-License-Identifier: GPL-3.0-or-later
"""The session of this Blender: its timer, what is sent, what comes back, and where it lands."""
