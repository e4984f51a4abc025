"""Time and memory of training as images, N, batch and workers grow."""
