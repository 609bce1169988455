# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs the texture server into an environment of its own. Nothing here imports bpy.

`requests` → `planning.make_plan` (what would be done, how large, what stands against it) → consent →
`runner.Installation` (a thread that runs the plan's commands and says how far it is) → `environment` (what is there).
"""
