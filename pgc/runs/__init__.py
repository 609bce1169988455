# SPDX-License-Identifier: Apache-2.0
"""A run from its request to its folder: settings, scene, memory, checkpoints, report."""
