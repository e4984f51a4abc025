"""Searches for better settings of a pipeline's training, with Keras Tuner."""
