# SPDX-License-Identifier: Apache-2.0
"""Commands that make shapes, and do not only paint them."""
