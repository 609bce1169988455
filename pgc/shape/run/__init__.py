# SPDX-License-Identifier: Apache-2.0
"""A run that learns a shape: what the loop of `pgc.optimization` looks at.

pictures   a shape as pictures that teachers judge: normals, and shaded colours
scene      what is learnt and from where; views: a step's pictures and what the teacher is told of them
"""
