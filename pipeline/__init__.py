"""The engine: manifest, plan, run, receipts, report. Knows no step, format or extension by name.

Everything else may import its contracts (documents, step, source, stage, extension, block, errors).
"""
