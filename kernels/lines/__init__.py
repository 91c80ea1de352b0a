"""Lines of texts: what can be read off them, which go, which may need repair.

Imports ``text`` and ``hashing``.
"""
