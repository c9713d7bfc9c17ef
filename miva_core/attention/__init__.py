"""What adapters do in a model: the formulas, and how they get there.

Numbers such as 3.4, B.2.1, Eq. 2 and S6 are those of sections and equations of MIVA, arXiv 2512.20000.
Shapes: b clips of f frames of s tokens (h w places) of d channels, n adapters.
"""
