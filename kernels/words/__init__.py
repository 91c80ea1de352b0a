"""Words and sentences: tokenizers compiled, and tables of what they found.

Imports ``text`` and ``hashing``.
"""

VERSION = 1  # of outputs: counted up by a change after which equal input gives other ones
