"""FastText models run by kernels of ours: files, vectors, scores. Imports ``text`` alone."""

VERSION = 1  # of outputs: counted up by a change after which equal input gives other ones
