"""UTF-8 text in Arrow buffers: characters, their classes, edits and normal forms.

Imports no other room of kernels.
"""

VERSION = 1  # of outputs: counted up by a change after which equal input gives other ones
