"""Scrambled images put back by an exported solver."""
