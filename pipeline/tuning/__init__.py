"""Measure without deciding: every row step's signals of every document, and what thresholds do.

``measuring`` stores the signals as a run of its own; ``tuning`` judges by them without any text.
"""
