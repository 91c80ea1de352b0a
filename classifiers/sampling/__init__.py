"""Samples of a sharded corpus that do not depend on how it is sharded."""
