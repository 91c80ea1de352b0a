"""The report: sections from receipts and extensions, rendered into one HTML file.

``write_report`` in ``write`` puts it together; ``page`` renders, ``charts`` draws.
"""
