# SPDX-License-Identifier: Apache-2.0
"""Light that nobody tells: the one that explains a wanted picture best, found view by view."""
