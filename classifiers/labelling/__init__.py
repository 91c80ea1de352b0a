"""Labels from a large model: a worker asks judges about a sample and keeps answers in a store."""
