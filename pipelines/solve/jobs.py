"""The jobs of a command, and the run over all of them.

A job is a pair of paths: of an image, and of its solution.
"""

import pathlib
import sys

import numpy as np
from tqdm import tqdm

from pipelines.shared import image_files
from pipelines.shared.errors import UserError
from pipelines.shared.image_files import shown
from pipelines.shared.image_folders import find_images, folder_identity
from pipelines.solve import offline
from pipelines.solve.images import NOT_RIGHT, Puzzle, Solution
from pipelines.solve.result_names import beside, result_names


def run(config):
    """Solves an image or a folder of images, and prints a line about it.

    Args:
        config: `SolveConfig`.

    Raises:
        UserError: If an image was not solved.
    """
    jobs = plan(config)
    solver = make_solver(config)
    with image_files.without_warnings():
        solutions, errors = solve_all(solver, jobs, config)
    if len(jobs) == 1 and errors:
        raise errors[0]
    if pathlib.Path(config.image).is_dir():
        print(summarize(solutions, len(jobs), config.out))
    else:
        print(solutions[0].sentence())
    if errors:
        raise UserError(
            f"{len(errors)} of {len(jobs)} images were not solved, see above."
        )


def plan(config):
    """The jobs of a command.

    Args:
        config: `SolveConfig`.

    Returns:
        List of pairs of source and target path.

    Raises:
        UserError: If there is no image, or one would be written over another.
    """
    source, target = pathlib.Path(config.image), pathlib.Path(config.out)
    if source.is_dir():
        jobs = _plan_folder(source, target, config.scramble)
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
        for written in (path, *([beside(path)] if config.scramble else [])):
            if written.resolve() in sources:
                raise UserError(
                    "--out would overwrite --image: name another one. "
                    f"Received: {shown(written)}"
                )
    return jobs


def _plan_folder(source, target, scramble):
    """The jobs of a folder; prints sentences about all that is passed over."""
    if target.exists() and not target.is_dir():
        raise UserError(
            f"--out must be a folder when --image is one. Received: --out={shown(target)}"
        )
    folder = find_images(source)
    # Solutions in the folder of images would be images to solve the next time.
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
    # The scrambling of each image depends on this order, that of the parts of the paths.
    names = sorted(map(pathlib.PurePath, folder.names))
    return [
        (source / name, target / result)
        for name, result in zip(names, result_names(names, scramble), strict=True)
    ]


def make_solver(config):
    """The `clients.Solver` of a `SolveConfig`."""
    if config.server is None:
        return offline.Offline(config.model)
    # A model in this process needs neither of the clients.
    if config.protocol == "grpc":
        from pipelines.solve.grpc import Grpc as Client
    else:
        from pipelines.solve.rest import Rest as Client

    # The command with the directory of a model also works with a server.
    name = pathlib.Path(config.model).name
    return Client(config.server, name, config.timeout, config.retries)


def solve_all(solver, jobs, config):
    """Solves all images, in batches, with a bar on a terminal.

    Args:
        solver: A `clients.Solver`.
        jobs: List of pairs of source and target path, which `plan` returns.
        config: `SolveConfig`.

    Returns:
        The `Solution`s, and the `UserError`s of the other images, which are also
        printed if there are several images.
    """
    solutions, errors = [], []
    # The bar is for a terminal, and not for a single image.
    with tqdm(jobs, unit=" images", disable=None if len(jobs) > 1 else True) as bar:
        for start in range(0, len(jobs), config.batch_size):
            batch = jobs[start : start + config.batch_size]
            for outcome in _solve_batch(solver, batch, start, config):
                bar.update()
                if isinstance(outcome, Solution):
                    solutions.append(outcome)
                    continue
                errors.append(outcome)
                if len(jobs) > 1:
                    with bar.external_write_mode():
                        print(outcome, file=sys.stderr)
    return solutions, errors


def _solve_batch(solver, jobs, first, config):
    """Solves a batch and writes it: yields a `Solution` or a `UserError` for each.

    Args:
        solver: A `clients.Solver`.
        jobs: List of pairs of source and target path.
        first: The index of the first image, from which its scrambling follows.
        config: `SolveConfig`.
    """
    batch = []
    for index, (source, target) in enumerate(jobs, first):
        key = [config.seed, index] if config.scramble else None
        try:
            batch.append(Puzzle(source, target, solver, key))
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


def summarize(solutions, count, out):
    """One line about the solved images of a folder.

    Args:
        solutions: List of `Solution`.
        count: The number of images in the folder.
        out: The folder of the solutions.
    """
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
        f"({NOT_RIGHT})"
    )
    noun = "image" if solved == 1 else "images"
    scrambled = "" if solutions[0].right is None else ", each with its _scrambled one,"
    parts.append(f"wrote {solved} {noun}{scrambled} to {shown(out)}")
    return "; ".join(parts)
