# SPDX-License-Identifier: Apache-2.0
"""The commands of `pgc`, one file each."""
