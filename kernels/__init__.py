"""Compiled loops over Arrow buffers: text, words, n-grams, hashes. Imports nothing of ours.

Inputs are Arrow arrays or their buffers, outputs numpy arrays; no Python object per document.
"""
