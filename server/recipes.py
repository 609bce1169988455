# SPDX-License-Identifier: Apache-2.0
"""Job spec to pgc configuration: the only file that knows both."""
