"""tf.data service for trainings."""
