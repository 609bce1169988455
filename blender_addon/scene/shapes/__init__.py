# SPDX-License-Identifier: GPL-3.0-or-later
"""New shapes as objects: what came of a run, and how it stands meanwhile."""
