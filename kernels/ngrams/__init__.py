"""Word n-grams: repeated ones, MinHash signatures, passages and overlap.

Imports ``text``, ``hashing`` and ``words``.
"""

VERSION = 1  # of outputs: counted up by a change after which equal input gives other ones
