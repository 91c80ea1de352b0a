"""Trials: one small model trained on one token file, evaluated on held-out documents."""
