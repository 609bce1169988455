# SPDX-License-Identifier: Apache-2.0
"""Bytes between client and server: uploads, downloads, previews, and the windows that bound them."""
