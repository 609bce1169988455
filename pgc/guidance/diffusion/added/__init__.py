# SPDX-License-Identifier: Apache-2.0
"""What a model is given beside its own weights: LoRA files, learnt words, a reader of pictures."""
