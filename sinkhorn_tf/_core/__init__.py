"""What all operators rest on: arguments, batches, compilation."""
