"""FastText models run by kernels of ours: files, vectors, scores. Imports ``text`` alone."""
