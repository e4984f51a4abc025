"""The search for better settings of a training, with Keras Tuner."""
