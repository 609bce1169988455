# SPDX-License-Identifier: Apache-2.0
"""How worker processes are started and stopped."""
