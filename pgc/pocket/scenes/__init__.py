# SPDX-License-Identifier: Apache-2.0
"""Training pictures of the materials in `pgc.pocket.swatches`, lit as runs light them, with their truth."""
