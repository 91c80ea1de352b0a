"""Many strings looked for at once. Imports ``text`` and ``hashing``."""

VERSION = 1  # of outputs: counted up by a change after which equal input gives other ones
