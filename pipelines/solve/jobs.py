"""Puts scrambled images back, with a SavedModel here or behind TensorFlow Serving.

    python -m pipelines.solve --model=savedmodels/jigsaw_digits --image=a.png --out=b.png
    python -m pipelines.solve --model=... --image=photo.jpg --scramble --out=b.png
    python -m pipelines.solve --model=... --image=scrambled/ --out=solved/
    python -m pipelines.solve --model=jigsaw_digits --server=localhost:8501 ...

An image is cut into the pieces that the model takes, whatever its size: the network
sees them shrunk, the output has them as they are. Of a folder every image is solved,
and written as PNG under its relative name. `--scramble` takes an image in order,
scrambles it, keeps that beside the output (`_scrambled`), and says how many pieces
were put back in their places.
"""

import math
import os
import pathlib
import sys

import numpy as np
import tensorflow as tf
from absl import flags
from tqdm import tqdm

import sinkhorn_tf as st
from pipelines import clients, files, puzzles, runs
from pipelines.datasets.decoding import match_channels, what_failed
from pipelines.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")


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
    failed = 0
    # On a terminal only, and not for a single image.
    with tqdm(jobs, unit=" images", disable=None if len(jobs) > 1 else True) as bar:
        for start in range(0, len(jobs), options.batch_size):
            part = jobs[start : start + options.batch_size]
            for said, is_error in solve(solver, part, start, options):
                failed += is_error
                with bar.external_write_mode():
                    print(said, file=sys.stderr if is_error else sys.stdout)
            bar.update(len(part))
    if failed:
        raise UserError(f"{failed} of {len(jobs)} images were not solved, see above.")


def make_solver(options):
    if options.server is None:
        return clients.Offline(options.model)
    host, _, port = options.server.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UserError(f"A server is HOST:PORT. Received: --server={options.server}")
    client = {"rest": clients.Rest, "grpc": clients.Grpc}[options.protocol]
    # So that the command for a directory also works with a server.
    name = os.path.basename(os.path.normpath(options.model))
    return client(options.server, name, options.timeout, options.retries)


def solve(solver, jobs, first, options):
    """Solves a batch and writes it: pairs of what to say, and whether it is an error.

    Args:
        solver: One of `pipelines.clients`.
        jobs: Pairs of source and target path.
        first: The index of the first one, which keys the scrambling.
        options: As of `main`.
    """
    found = []
    for index, (source, target) in enumerate(jobs, first):
        try:
            found.append(Puzzle(source, target, solver, index, options))
        except UserError as error:
            yield error, True
    if not found:
        return
    answer = solver.solve(np.stack([puzzle.seen for puzzle in found]))
    for k, puzzle in enumerate(found):
        yield puzzle.finish(answer["permutation"][k], answer["gap"][k])


def planned(options):
    """Pairs of source and target path.

    Raises:
        UserError: If there is no image, or one would be written over another.
    """
    source, target = pathlib.Path(options.image), pathlib.Path(options.out)
    if source.is_dir():
        jobs = planned_folder(source, target)
    else:
        if not source.exists():
            raise UserError(f"No such file. Received: --image={source}")
        if target.suffix.lower() not in (".png", ".jpg", ".jpeg"):
            raise UserError(f"--out ends with .png or .jpg. Received: --out={target}")
        jobs = [(source, target)]
    taken = {path.resolve() for path, _ in jobs}
    for _, path in jobs:
        for written in (path, *([beside(path)] if options.scramble else [])):
            if written.resolve() in taken:
                raise UserError(
                    "--out would overwrite --image, or one result another: name another "
                    f"one. Received: {written}"
                )
            taken.add(written.resolve())
    return jobs


def planned_folder(source, target):
    """As `planned`, of a folder."""
    if target.exists() and not target.is_dir():
        raise UserError(f"A folder is solved into a folder. Received: --out={target}")
    # What is solved in there would be images to solve the next time.
    if source.resolve() in (target.resolve(), *target.resolve().parents):
        raise UserError(
            f"--out would be in --image: name another folder. Received: --out={target}"
        )
    names = sorted(
        path.relative_to(source)
        for path in source.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not names:
        raise UserError(f"No image in this folder. Received: --image={source}")
    return [(source / x, target / x.with_suffix(".png")) for x in names]


def beside(path):
    """Where the scrambled image goes that was solved into `path`."""
    return path.with_name(f"{path.stem}_scrambled{path.suffix}")


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
        self._target = target
        self._grid = grid = math.isqrt(solver.n)
        height, width, channels = solver.shape
        image = match_channels(read(source), channels)
        self._true = None
        if options.scramble:
            image = fit(image, grid, source)
            rng = np.random.default_rng([options.seed, index])
            self._true = rng.permutation(solver.n)
        elif image.shape[0] % grid or image.shape[1] % grid:
            raise UserError(
                f"The sides of an image of {grid} x {grid} pieces are multiples of "
                f"{grid}. Received: {source} of {image.shape[0]} x {image.shape[1]}"
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
        """Writes the solution; what to say, and whether it is an error."""
        if (perm < 0).any():
            return f"{self._target}: no permutation was found", True
        self._pieces = st.permutations.apply(tf.constant(perm), self._pieces)
        self._write(self._target)
        said = f"{self._target}: " + (
            "proven to be the best by the network's scores"
            if gap == 0
            else f"within {gap:.2g} of the best by the network's scores"
        )
        if self._true is not None:
            said += f", {(perm == self._true).sum()} of {len(perm)} pieces right"
        return said, False

    def _write(self, path):
        image = tf.cast(puzzles.join(self._pieces[None], self._grid)[0], tf.uint8)
        is_png = path.suffix.lower() == ".png"
        data = (tf.io.encode_png if is_png else tf.io.encode_jpeg)(image)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_whole(str(path), lambda name: tf.io.write_file(name, data))
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}.") from error


def read(path):
    """The image in a file, uint8 `[height, width, channels]`, or raises UserError."""
    try:
        data = path.read_bytes()
        image = tf.io.decode_image(data, expand_animations=False)
        # Of a gray image with alpha.
        return image[..., :1] if image.shape[-1] == 2 else image
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    except tf.errors.OpError as error:
        raise UserError(f"{path}: {what_failed(error)}") from error


def fit(image, grid, source):
    """The central square, with a side that is a multiple of `grid`."""
    height, width, _ = image.shape
    side = min(height, width) // grid * grid
    if not side:
        raise UserError(
            f"An image of {grid} x {grid} pieces cannot be smaller. "
            f"Received: {source} of {height} x {width}"
        )
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


if __name__ == "__main__":
    define_flags()
    runs.main(lambda: main(flags.FLAGS))
