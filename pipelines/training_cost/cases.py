"""The trainings that are measured."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Case:
    """A training of random images.

    Attributes:
        group: The size that grows: "images", "N", "batch" or "workers". None grows in
            "ImageNet", the row of docs/results/scale.md that `projection` extends by
            calculation.
        images: The number of images.
        grid: Pieces along a side.
        image_size: Pixels along a side.
        width: The size of a piece's vector.
        batch_size: Examples of a step, of all workers together.
        workers: The number of processes.
    """

    group: str
    images: int = 1000
    grid: int = 3
    image_size: int = 48
    width: int = 64
    batch_size: int = 32
    workers: int = 1

    @property
    def grown(self):
        """The value of the size that grows in its group."""
        return {
            "images": self.images,
            "N": self.grid**2,
            "workers": self.workers,
        }.get(self.group, self.batch_size)


CASES = (
    *(Case("images", images=count) for count in (1_000, 10_000, 100_000)),
    *(Case("N", grid=grid, image_size=64, batch_size=2) for grid in (2, 4, 8, 16, 32)),
    *(Case("batch", batch_size=size) for size in (8, 32, 128)),
    *(Case("workers", workers=count, batch_size=64) for count in (1, 2)),
    Case("ImageNet", images=10_000, image_size=81, width=128, batch_size=64),
)
# The cases of `--quick`.
QUICK = tuple(
    Case(group, **{"image_size": 6, "batch_size": 2, **sizes})
    for group, sizes in (
        ("batch", {}),
        ("batch", {"batch_size": 4}),
        ("workers", {}),
        ("workers", {"workers": 2}),
    )
)
