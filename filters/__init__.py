"""Row steps: what a document must pass, or what is taken out of it.

Imports ``winnow`` and kernels, nothing else of ours.
"""
