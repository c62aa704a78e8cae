"""Trained weights scored on the test split."""
