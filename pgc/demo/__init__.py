# SPDX-License-Identifier: Apache-2.0
"""The demo: a bundled teapot, three prompts, and a page to look at them."""
