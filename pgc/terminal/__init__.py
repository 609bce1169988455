# SPDX-License-Identifier: Apache-2.0
"""How both programs behave at a terminal: streams, progress, failures, interrupts."""
