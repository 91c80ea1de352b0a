"""Words and sentences: tokenizers compiled, and tables of what they found.

Imports ``text`` and ``hashing``.
"""
