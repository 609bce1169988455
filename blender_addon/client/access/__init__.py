# SPDX-License-Identifier: Apache-2.0
"""How a client finds the server: its address and keys, pairing, starting one."""
