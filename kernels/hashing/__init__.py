"""Hashes of byte ranges, and short byte strings as integers. Imports ``text`` alone."""
