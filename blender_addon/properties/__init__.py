# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties on scenes, objects and the window manager."""
