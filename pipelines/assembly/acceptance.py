"""Measuring assembly: how often a judge takes what was assembled for what was wanted."""

import functools
import math

import keras
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.assembly.judge import classify
from pipelines.shared.puzzles import cutting


def assembler(network, decode, temperature, n_iters):
    """A Keras model from `[pieces, digit]` to scores and to soft permutations.

    Hard assembly matches the scores, by `decode`. "logits": those of the network.
    "soft": how well a piece fits what all pieces make softly at a place. Their matching
    is the hard reconstruction that is nearest to the soft one.

    Args:
        network: An `assembly_network`.
        decode: "logits" or "soft".
        temperature, n_iters: Of the soft permutations.
    """
    pieces, digit = (
        keras.Input(x.shape[1:], name=x.name, dtype=x.dtype) for x in network.inputs
    )
    logits = network([pieces, digit])
    plan = st.SinkhornLayer(temperature, n_iters)(logits)
    if decode == "logits":
        return keras.Model([pieces, digit], [logits, plan])
    _, n, *shape = pieces.shape
    flat = keras.ops.reshape(pieces, (-1, n, math.prod(shape)))
    made = keras.ops.matmul(keras.ops.swapaxes(plan, 1, 2), flat)
    fit = keras.ops.matmul(flat, keras.ops.swapaxes(made, 1, 2))
    return keras.Model([pieces, digit], [fit, plan])


def reconstructions(assembler, pieces, digit):
    """What is made of pieces, hard and soft.

    Args:
        assembler: Keras model from `[pieces, digit]` to the scores whose matching is
            the hard permutation, and to the soft one, both `[B, N, N]`.
        pieces: `[B, N, h, w, C]`.
        digit: int32 `[B]`, what is wanted.

    Returns:
        Dict of `hard` and `soft`, images `[B, S, S, C]`.
    """
    scores, plan = assembler([pieces, digit], training=False)
    # Compiled, the matching takes a third of the time.
    perm = st.matching(scores, jit_compile=True)
    hard = st.permutations.apply(perm, pieces)
    grid = math.isqrt(pieces.shape[1])
    return {
        "hard": cutting.join(hard, grid),
        "soft": cutting.join(st.Restore()([plan, pieces]), grid),
    }


def measure(reconstruct, judge, held_out, labels, n_labels):
    """Assembles every image of a split as every label, and has it judged.

    Args:
        reconstruct: Function of pieces `[B, N, h, w, C]` and the wanted labels, int32
            `[B]`, to a dict of `hard` and `soft` images.
        judge: See `assembly.judge`.
        held_out: Iterable of batches of puzzles, see `shared.puzzles.cutting`.
        labels: int array `[M]`, of the images of these puzzles.
        n_labels: K, the number of labels.

    Returns:
        Dict of the scores in `metrics.json`: under `hard` and `soft` each `acceptance`
        (plain mean over all images and all other labels), its `standard_error` (over
        the images), `same_digit` (each image as its own label) and `table` (K lists:
        rows the sources, columns the targets); under `chance` the acceptance of the
        scrambled pieces as they are; `accepted_originals`, of the images themselves;
        `n_examples` and `n_pairs`.
    """

    # Traced once for all labels, which are an argument.
    @functools.partial(tf.function, autograph=False, reduce_retracing=True)
    def accepted(pieces, wanted):
        made = reconstruct(pieces, wanted)
        return {name: classify(judge, image) == wanted for name, image in made.items()}

    parts = {}
    for batch in held_out:
        pieces = batch["pieces"]
        image = lambda x: cutting.join(x, math.isqrt(x.shape[1]))
        found = [
            accepted(pieces, tf.fill([len(pieces)], digit)) for digit in range(n_labels)
        ]
        here = {name: tf.stack([x[name] for x in found], 1) for name in found[0]}
        here["scrambled"] = classify(judge, image(pieces))
        here["original"] = classify(judge, image(batch["target"]))
        for name, values in here.items():
            parts.setdefault(name, []).append(values.numpy())
    found = {name: np.concatenate(values) for name, values in parts.items()}
    each = np.arange(n_labels)
    other = labels[:, None] != each
    scrambled = found["scrambled"][:, None] == each
    return {
        **{name: _scores(found[name], labels, other) for name in ("hard", "soft")},
        "chance": {"acceptance": float(scrambled[other].mean())},
        "accepted_originals": float((found["original"] == labels).mean()),
        "n_examples": len(labels),
        "n_pairs": int(other.sum()),
    }


def _scores(accepted, labels, other):
    """The scores of one kind of reconstruction from what was accepted, `[M, K]`."""
    of_image = (accepted & other).sum(axis=1) / other.sum(axis=1)
    # Labels without an image, in a small split, have no numbers.
    table = [
        accepted[labels == label].mean(axis=0).tolist() if label in labels else None
        for label in range(accepted.shape[1])
    ]
    return {
        "acceptance": float(accepted[other].mean()),
        "standard_error": float(of_image.std() / math.sqrt(len(labels))),
        "same_digit": float(accepted[~other].mean()),
        "table": table,
    }


def table(scores):
    """The scores as lines of text: hard ones by source and target, then the means."""
    rows = scores["hard"]["table"]
    lines = ["accepted, hard; rows: source, columns: target"]
    lines.append("      " + "".join(f"{target:7}" for target in range(len(rows))))
    for source, row in enumerate(rows):
        cells = "" if row is None else "".join(f"{x:7.3f}" for x in row)
        lines.append(f"{source:6}{cells}")
    lines.append(f"{'':16}{'other digits':>14}{'same digit':>14}")
    for name in ("hard", "soft"):
        found = scores[name]
        lines.append(f"{name:16}{found['acceptance']:14.4f}{found['same_digit']:14.4f}")
    lines.append(f"{'scrambled':16}{scores['chance']['acceptance']:14.4f}")
    lines.append(f"{'originals':16}{'':14}{scores['accepted_originals']:14.4f}")
    lines.append(f"{scores['n_examples']:,} images, {scores['n_pairs']:,} pairs")
    return "\n".join(lines)
