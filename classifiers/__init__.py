"""Models that score documents, and the labels they learn from.

Imports ``winnow`` and kernels, nothing else of ours.
"""
