"""Global steps that find documents which repeat others.

Imports ``winnow`` and kernels, nothing else of ours.
"""
