# SPDX-License-Identifier: Apache-2.0
"""The autoencoder of 256-pixel pictures, trained so that the way back through its encoder can be used."""
