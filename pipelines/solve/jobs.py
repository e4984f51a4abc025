"""Puts scrambled images back, with a SavedModel here or behind TensorFlow Serving.

    python -m pipelines.solve --model=savedmodels/jigsaw_digits --image=a.png --out=b.png
    python -m pipelines.solve --model=... --image=photo.jpg --scramble --out=b.png
    python -m pipelines.solve --model=... --image=scrambled/ --out=solved/
    python -m pipelines.solve --model=jigsaw_digits --server=localhost:8501 ...

An image is cut into the pieces that the model takes, whatever its size: the network
sees them shrunk, the output has them as they are. `pipelines.image_files` says how an
image is read. `--scramble` takes an image in order, scrambles it, keeps that beside the
output (`_scrambled`), and says how many pieces were put back in their places.

Every image of a folder is solved and written as PNG under its relative name; links to
folders are followed. Where results would have one name (upper and lower case count as
one), a PNG keeps it, or else the first in sorted order, and the others keep their
suffixes: `one.png` and `one.bmp` become `one.png` and `one_bmp.png`. An image that
cannot be solved is named, and the exit status is 1; the others are solved.
"""

import math
import pathlib
import sys
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import flags
from tqdm import tqdm

import sinkhorn_tf as st
from pipelines.shared import image_files
from pipelines.shared.puzzles import cutting
from pipelines.solve import clients
from pipelines.shared.datasets.decoding import match_channels
from pipelines.shared.errors import UserError
from pipelines.shared.image_files import shown
from pipelines.shared.image_folders import find_images, folder_identity
from pipelines.solve.result_names import beside, result_names

# A matching that is optimal can still be of a network that is mistaken.
_NOT_RIGHT = "which does not say that the picture is right"


def define_flags(flag_values=flags.FLAGS):
    """Defines the flags of this program."""
    flags.DEFINE_string(
        "model",
        None,
        "Directory of a SavedModel; its name at a server.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "image", None, "An image, or a folder of images.", flag_values=flag_values
    )
    flags.DEFINE_string(
        "out",
        None,
        "Where the solved image goes, .png or .jpg; a folder.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "server", None, "HOST:PORT of TensorFlow Serving.", flag_values=flag_values
    )
    flags.DEFINE_enum(
        "protocol",
        "rest",
        ["rest", "grpc"],
        "Of the server (ports 8501 and 8500).",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "timeout",
        10.0,
        "Seconds to wait for an answer.",
        lower_bound=1e-3,
        upper_bound=1e6,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "retries",
        4,
        "How often to ask again while a server is unavailable.",
        lower_bound=0,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "batch_size", 64, "Images of a request.", lower_bound=1, flag_values=flag_values
    )
    flags.DEFINE_bool(
        "scramble",
        False,
        "The images are in order: scramble them first.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "seed", 0, "Seed of the scrambling.", lower_bound=0, flag_values=flag_values
    )


def main(options):
    """Solves.

    Args:
        options: `absl.flags.FlagValues` that hold what `define_flags` defines.
    """
    for name in ("model", "image", "out"):
        if not options[name].value:
            raise UserError(f"--{name} is missing.")
    jobs = planned(options)
    solver = make_solver(options)
    with image_files.without_warnings():
        solutions, errors = solve_all(solver, jobs, options)
    if len(jobs) == 1 and errors:
        raise errors[0]
    if pathlib.Path(options.image).is_dir():
        print(summary(solutions, len(jobs), options.out))
    else:
        print(solutions[0].sentence())
    if errors:
        raise UserError(
            f"{len(errors)} of {len(jobs)} images were not solved, see above."
        )


def solve_all(solver, jobs, options):
    """Solves all images, in batches, with a bar on a terminal.

    Args:
        solver: One of `pipelines.clients`.
        jobs: Pairs of source and target path.
        options: As of `main`.

    Returns:
        The `Solution`s, and the `UserError`s of the other images, which are also
        printed if there are several images.
    """
    solutions, errors = [], []
    # On a terminal only, and not for a single image.
    with tqdm(jobs, unit=" images", disable=None if len(jobs) > 1 else True) as bar:
        for start in range(0, len(jobs), options.batch_size):
            part = jobs[start : start + options.batch_size]
            for outcome in solve(solver, part, start, options):
                bar.update()
                if isinstance(outcome, Solution):
                    solutions.append(outcome)
                    continue
                errors.append(outcome)
                if len(jobs) > 1:
                    with bar.external_write_mode():
                        print(outcome, file=sys.stderr)
    return solutions, errors


def summary(solutions, count, out):
    """What was solved of a folder of `count` images, in one line."""
    if not solutions:
        return f"solved none of {count} images; wrote nothing"
    solved = len(solutions)
    optimal = sum(solution.gap == 0 for solution in solutions)
    parts = [f"solved {solved} of {count} images"]
    if solutions[0].right is not None:
        right = sum(solution.right for solution in solutions)
        pieces = sum(solution.pieces for solution in solutions)
        parts.append(f"{right} of {pieces} pieces right")
    parts.append(
        f"for {optimal} of {solved} the matching is optimal for the network's scores "
        f"({_NOT_RIGHT})"
    )
    noun = "image" if solved == 1 else "images"
    scrambled = "" if solutions[0].right is None else ", each with its _scrambled one,"
    parts.append(f"wrote {solved} {noun}{scrambled} to {shown(out)}")
    return "; ".join(parts)


def make_solver(options):
    if options.server is None:
        return clients.Offline(options.model)
    host, _, port = options.server.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UserError(f"A server is HOST:PORT. Received: --server={options.server}")
    client = {"rest": clients.Rest, "grpc": clients.Grpc}[options.protocol]
    # So that the command for a directory also works with a server.
    name = pathlib.Path(options.model).name
    return client(options.server, name, options.timeout, options.retries)


def solve(solver, jobs, first, options):
    """Solves a batch and writes it: yields a `Solution` or a `UserError` for each.

    Args:
        solver: One of `pipelines.clients`.
        jobs: Pairs of source and target path.
        first: The index of the first one, which keys the scrambling.
        options: As of `main`.
    """
    batch = []
    for index, (source, target) in enumerate(jobs, first):
        try:
            batch.append(Puzzle(source, target, solver, index, options))
        except UserError as error:
            yield error
    if not batch:
        return
    answer = solver.solve(np.stack([puzzle.seen for puzzle in batch]))
    for k, puzzle in enumerate(batch):
        try:
            yield puzzle.finish(answer["permutation"][k], answer["gap"][k])
        except UserError as error:
            yield error


def planned(options):
    """Pairs of source and target path.

    Raises:
        UserError: If there is no image, or one would be written over another.
    """
    source, target = pathlib.Path(options.image), pathlib.Path(options.out)
    if source.is_dir():
        jobs = planned_folder(source, target, options.scramble)
    else:
        if not source.exists():
            raise UserError(f"No such file. Received: --image={shown(source)}")
        if target.suffix.lower() not in (".png", ".jpg", ".jpeg"):
            raise UserError(
                f"--out ends with .png or .jpg. Received: --out={shown(target)}"
            )
        jobs = [(source, target)]
    sources = {path.resolve() for path, _ in jobs}
    for _, path in jobs:
        for written in (path, *([beside(path)] if options.scramble else [])):
            if written.resolve() in sources:
                raise UserError(
                    "--out would overwrite --image: name another one. "
                    f"Received: {shown(written)}"
                )
    return jobs


def planned_folder(source, target, scramble):
    """As `planned`, of a folder."""
    if target.exists() and not target.is_dir():
        raise UserError(
            f"--out must be a folder when --image is one. Received: --out={shown(target)}"
        )
    folder = find_images(source)
    # What is solved in there would be images to solve the next time.
    for parent in (target.resolve(), *target.resolve().parents):
        if parent.exists() and folder_identity(parent) in folder.folders:
            raise UserError(
                "--out would be in --image: name another folder. "
                f"Received: --out={shown(target)}"
            )
    for sentence in folder.passed_over:
        print(f"passed over: {sentence}", file=sys.stderr)
    if not folder.names:
        raise UserError(
            f"No image in this folder ({image_files.KINDS}). "
            f"Received: --image={shown(source)}"
        )
    # By their parts, which keeps the scrambling of each.
    names = sorted(map(pathlib.PurePath, folder.names))
    return [
        (source / name, target / result)
        for name, result in zip(names, result_names(names, scramble), strict=True)
    ]


class Solution(NamedTuple):
    """One image that was solved.

    Attributes:
        target: Path of the image that was written.
        gap: How far the matching may be from the best, in the network's scores.
        pieces: Of the image.
        right: How many of the pieces are in their places, or None where nobody knows.
    """

    target: pathlib.Path
    gap: float
    pieces: int
    right: int | None

    def sentence(self):
        """What was done, in one line."""
        said = f"wrote {shown(self.target)}"
        if self.right is not None:
            said += f" and, scrambled, {shown(beside(self.target))}"
        said += ": the matching is " + (
            "optimal" if self.gap == 0 else f"within {self.gap:.2g} of the best"
        )
        said += f" for the network's scores ({_NOT_RIGHT})"
        if self.right is not None:
            said += f", {self.right} of {self.pieces} pieces right"
        return said


class Puzzle:
    """One image on its way.

    Args:
        source, target: Paths of the image and of its solution.
        solver: One of `pipelines.clients`.
        index: Of the image, keys the scrambling.
        options: As of `main`.

    Raises:
        UserError: If the image cannot be read or cut.
    """

    def __init__(self, source, target, solver, index, options):
        self._source, self._target = source, target
        self._grid = grid = math.isqrt(solver.n)
        height, width, channels = solver.shape
        try:
            image = match_channels(image_files.read(source), channels)
        except UserError as error:
            raise UserError(f"{shown(source)}: {error}") from error
        self._true = None
        if options.scramble:
            image = fit(image, grid, source)
            rng = np.random.default_rng([options.seed, index])
            self._true = rng.permutation(solver.n)
        elif image.shape[0] % grid or image.shape[1] % grid:
            raise UserError(
                f"The sides of an image of {grid} x {grid} pieces are multiples of "
                f"{grid}. Received: {shown(source)} of {image.shape[0]} x {image.shape[1]}"
            )
        self._pieces = puzzles.cut(image[None], grid)[0]
        if options.scramble:
            self._pieces = tf.gather(self._pieces, self._true)
            # Beside the solution, to be looked at.
            self._write(beside(target))
        # Piece by piece: across their borders nothing may blur.
        small = tf.image.resize(
            self._pieces, [height // grid, width // grid], antialias=True
        )
        self.seen = puzzles.join(small[None] / 255, grid)[0].numpy()

    def finish(self, perm, gap):
        """Writes the image that `perm` restores, and returns its `Solution`."""
        if (perm < 0).any():
            raise UserError(
                f"{shown(self._source)}: no permutation can be told from the network's "
                "scores."
            )
        self._pieces = st.permutations.apply(tf.constant(perm), self._pieces)
        self._write(self._target)
        right = None if self._true is None else int((perm == self._true).sum())
        return Solution(self._target, float(gap), len(perm), right)

    def _write(self, path):
        image = tf.cast(puzzles.join(self._pieces[None], self._grid)[0], tf.uint8)
        image_files.write(path, image.numpy())


def fit(image, grid, source):
    """The central square, with a side that is a multiple of `grid`."""
    height, width, _ = image.shape
    side = min(height, width) // grid * grid
    if not side:
        raise UserError(
            f"An image of {grid} x {grid} pieces cannot be smaller. "
            f"Received: {shown(source)} of {height} x {width}"
        )
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


if __name__ == "__main__":
    define_flags()
    runs.main(lambda: main(flags.FLAGS))
