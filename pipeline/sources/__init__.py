"""Readers: files become bounded batches of documents, and bad rows go to quarantine.

One module for each source format, on shared parts for listing, decompressing and batching.
Found by their entry points; only the contracts of the engine are imported here.
"""
