"""Steps that use scores: thresholds by exact quantiles, and several scores joined."""
