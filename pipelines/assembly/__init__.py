"""Digits assembled from the pieces of other digits."""
