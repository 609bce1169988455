# SPDX-License-Identifier: Apache-2.0
"""The training of the pocket prior, from the data to the shipped weights."""
