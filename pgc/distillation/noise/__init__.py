# SPDX-License-Identifier: Apache-2.0
"""Where the noise of a step comes from."""
