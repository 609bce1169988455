# SPDX-License-Identifier: Apache-2.0
"""What `pgc texture` does with what it was told."""
