# SPDX-License-Identifier: Apache-2.0
"""From what a person chose to all that a run needs."""
