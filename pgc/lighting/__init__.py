# SPDX-License-Identifier: Apache-2.0
"""Light is drawn anew for every step: the interface (`base`), and the environments of a run."""
