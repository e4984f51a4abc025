"""The Sinkhorn operator and its limit."""
