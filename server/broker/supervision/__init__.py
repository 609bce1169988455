# SPDX-License-Identifier: Apache-2.0
"""Watch over processes, submissions and the disk."""
