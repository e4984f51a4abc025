"""The ground of all operators: arguments, batches, compilation."""
