"""The commands, a file for each.

Typer imports every one of them to list them, so what a command needs is imported when it runs.
"""
