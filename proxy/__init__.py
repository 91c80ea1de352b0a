"""Small models that measure a mix. mixing: mixes and their token files; training: trials, where
torch lives; verdicts: comparisons of trials and the report. Imports the public API and kernels.
"""
