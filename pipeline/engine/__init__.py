"""Runs a manifest: graph, plan, tasks, worker processes, commits and receipts.

Knows no step, format or extension by name. Steps import none of this; extensions import ``stage``
alone.
"""
