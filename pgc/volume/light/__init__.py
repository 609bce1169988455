# SPDX-License-Identifier: Apache-2.0
"""Light through a volume: rays, what they meet, the lamp, and what is unlikely of what they meet."""
