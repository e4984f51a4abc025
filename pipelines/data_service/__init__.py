"""A tf.data service for trainings."""
