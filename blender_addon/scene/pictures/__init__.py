# SPDX-License-Identifier: GPL-3.0-or-later
"""Images and materials of versions, and bakes."""
