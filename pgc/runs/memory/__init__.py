# SPDX-License-Identifier: Apache-2.0
"""How a run fits into a graphics card's memory, and how errors for want of it are recognised."""
