# SPDX-License-Identifier: Apache-2.0
"""Images in and out: which formats are read and how, source textures and masks, maps as files."""
