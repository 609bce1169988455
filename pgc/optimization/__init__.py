# SPDX-License-Identifier: Apache-2.0
"""The loop of a run and its parts: settings, scene, regulation of gradients, averaging, watch over numbers."""
