"""The matching operator and its certificates."""
