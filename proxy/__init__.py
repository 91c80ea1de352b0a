"""Small models that measure a mix: tokens, training, evaluation, verdicts. torch lives here.

May import pipeline's contracts and kernels, nothing else of ours.
"""
