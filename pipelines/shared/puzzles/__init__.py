"""Jigsaw puzzles of images: cutting, augmentation, batches, and their settings."""
