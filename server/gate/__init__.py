# SPDX-License-Identifier: Apache-2.0
"""The process that validates and decodes untrusted input under caps."""
