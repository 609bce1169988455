# SPDX-License-Identifier: Apache-2.0
"""One run by several processes, a graphics card each, as `torchrun` starts them."""
