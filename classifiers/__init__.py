"""Models that score documents, and the labels they learn from.

May import pipeline's contracts and kernels, nothing else of ours.
"""
