"""The batches of any training: seeds, order, tf.data service."""
