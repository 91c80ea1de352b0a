"""The engine: manifest, plan, run, receipts, report. Knows no step, format or section by name.

Everything else may import its contracts (documents, step, source, stage, section, panel, errors).
"""
