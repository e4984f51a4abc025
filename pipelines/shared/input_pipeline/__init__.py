"""Batches of any training: seeds, order, tf.data service."""
