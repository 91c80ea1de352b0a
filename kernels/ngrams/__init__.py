"""Word n-grams: repeated ones, MinHash signatures, passages and overlap.

Imports ``text``, ``hashing`` and ``words``.
"""
