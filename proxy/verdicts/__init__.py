"""Comparisons of trials with their statistics, and the report about them."""
