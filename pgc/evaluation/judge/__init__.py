# SPDX-License-Identifier: Apache-2.0
"""The judge: a small network that names material and colour of a picture, with its training."""
