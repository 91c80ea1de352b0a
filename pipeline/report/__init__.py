"""The report: chapters from receipts and sections, rendered into one HTML file.

``write_report`` in ``write`` puts it together; ``page`` renders, ``charts`` draws.
"""
