"""Lines of texts: what can be read off them, which go, which may need repair.

Imports ``text`` and ``hashing``.
"""

VERSION = 1  # of outputs: counted up by a change after which equal input gives other ones
