"""Small models that learn from labels and score whole corpora."""
