"""Images with labels."""

from pipelines.shared.errors import UserError
from pipelines.shared.puzzles.images import load_images


def load_labelled(images, split, size):
    """The images of a split with their labels.

    Args:
        images: `ImagesConfig`.
        split: A role, or an expression of TFDS.
        size: Pixels along a side.

    Returns:
        `datasets.Images` whose `labels` are not None.

    Raises:
        UserError: If they have no labels.
    """
    loaded = load_images(images, split, size)
    if loaded.labels is None:
        raise UserError(f"{images.dataset} has no labels here. Received: split {split}")
    return loaded
