"""Row steps: what a document must pass, or what is taken out of it.

May import pipeline's contracts and kernels, nothing else of ours.
"""
