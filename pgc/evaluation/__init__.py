# SPDX-License-Identifier: Apache-2.0
"""Scores against known truth: seams, speckle, oracle recovery, prompt agreement. Run by `pgc eval`."""
