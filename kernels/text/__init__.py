"""UTF-8 text in Arrow buffers: characters, their classes, edits and normal forms.

Imports no other room of kernels.
"""
