"""Many strings looked for at once. Imports ``text`` and ``hashing``."""
