# SPDX-License-Identifier: Apache-2.0
"""The third edition's UNet, ControlNet and text encoder: pictures of 256 pixels at the price of the second's of 128."""
