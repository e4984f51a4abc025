"""Puts scrambled images back, with a SavedModel here or behind TensorFlow Serving.

    python -m pipelines.solve --model=savedmodels/jigsaw_digits --image=a.png --out=b.png
    python -m pipelines.solve --model=... --image=photo.jpg --scramble --out=b.png
    python -m pipelines.solve --model=... --image=scrambled/ --out=solved/
    python -m pipelines.solve --model=jigsaw_digits --server=localhost:8501 ...

An image of any size is cut into the number of pieces that the model takes. The network
sees the pieces shrunk; the output has them in full size. `pipelines.shared.image_files`
says how an image is read. `--scramble` takes an image in order, scrambles it, keeps the
scrambled one beside the output (`_scrambled`), and says how many pieces were put back in
their places.

Every image of a folder is solved and written as PNG under its relative name; links to
folders are followed. Where two results would have the same name (upper and lower case
count as the same), a PNG keeps it, or else the first image in sorted order, and the
others keep their suffixes: `one.png` and `one.bmp` become `one.png` and `one_bmp.png`. An
image that cannot be solved is named, and the exit status is 1; the others are solved.
"""

from absl import flags

from pipelines.shared import program
from pipelines.solve.config import SolveConfig


def main(config, explicit_names=frozenset()):
    """Solves an image or a folder of images.

    Args:
        config: `SolveConfig`.
        explicit_names: The names of the settings that the command line sets.
    """
    config.check(explicit_names)
    from pipelines.solve import jobs

    jobs.run(config)


if __name__ == "__main__":
    program.run(main, SolveConfig(), flags.FLAGS)
