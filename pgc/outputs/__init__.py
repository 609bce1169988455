# SPDX-License-Identifier: Apache-2.0
"""What a run leaves behind: maps, GLB, contact sheet, turntable and report."""
