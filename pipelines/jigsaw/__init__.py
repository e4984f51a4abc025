"""Jigsaw puzzles of images."""
