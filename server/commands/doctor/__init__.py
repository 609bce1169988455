# SPDX-License-Identifier: Apache-2.0
"""`pgc-server doctor`: checks of this machine, each a finding with what to do."""
