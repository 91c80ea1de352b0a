"""Barrier steps that find documents which repeat others.

May import pipeline's contracts and kernels, nothing else of ours.
"""
