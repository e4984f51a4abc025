"""Scores of assembly: how often judges take a reconstruction for the wanted digit."""

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

    Hard assembly matches the scores. With `decode="logits"` they are the logits of the
    network. With `decode="soft"` they say how well a piece fits the soft reconstruction
    at a place; their matching is the hard reconstruction nearest to the soft one.

    Args:
        network: An `assembly_network`.
        decode: "logits" or "soft".
        temperature: The temperature of the soft permutations.
        n_iters: The Sinkhorn iterations of the soft permutations.
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
    soft = keras.ops.matmul(keras.ops.swapaxes(plan, 1, 2), flat)
    fit = keras.ops.matmul(flat, keras.ops.swapaxes(soft, 1, 2))
    return keras.Model([pieces, digit], [fit, plan])


def reconstructions(assembler, pieces, digit):
    """Assembles pieces, hard and softly.

    Args:
        assembler: Keras model from `[pieces, digit]` to the scores whose matching is
            the hard permutation, and to the soft permutation, both `[B, N, N]`.
        pieces: `[B, N, h, w, C]`.
        digit: int32 `[B]`, the wanted digits.

    Returns:
        Dict of `hard` and `soft`, images `[B, S, S, C]`.
    """
    scores, plan = assembler([pieces, digit], training=False)
    # Compiled by XLA, the matching takes a third of the time.
    perm = st.matching(scores, jit_compile=True)
    hard = st.permutations.apply(perm, pieces)
    grid = math.isqrt(pieces.shape[1])
    return {
        "hard": cutting.join(hard, grid),
        "soft": cutting.join(st.Restore()([plan, pieces]), grid),
    }


def measure(reconstruct, judges, held_out, labels, n_labels):
    """Assembles every image of a split as every label, and asks judges.

    Args:
        reconstruct: Function of pieces `[B, N, h, w, C]` and the wanted labels, int32
            `[B]`, to a dict of `hard` and `soft` images.
        judges: List of `judge.Judge`.
        held_out: Iterable of batches of puzzles, see `shared.puzzles.cutting`.
        labels: int array `[M]`, the labels of the images of these puzzles.
        n_labels: K, the number of labels.

    Returns:
        Dict of the scores in `metrics.json`. Under `hard` and `soft`: `acceptance` (the
        mean over all images, all other labels and all judges), its `standard_error` (over
        the images), `same_digit` (each image as its own label) and `table` (K lists; rows
        are sources, columns targets). Under `judges`, a list with the worst first: the
        `name` of a judge, its `accuracy`, `accepted_originals`, and under `hard` and
        `soft` its `acceptance`, `same_digit` and `by_target` (for each label the share of
        the images of others, None if there are none). Under `chance`: the acceptance of the scrambled pieces. Then
        `accepted_originals`, the share of images that are recognized; `n_examples` and
        `n_pairs`.
    """
    answers = _ask(reconstruct, judges, held_out, n_labels)
    digits = np.arange(n_labels)
    other = labels[:, None] != digits
    scrambled = answers["scrambled"][:, :, None] == digits
    recognized = answers["original"] == labels
    kinds = ("hard", "soft")
    by_judge = [
        {
            "name": judge.name,
            "accuracy": judge.scores["accuracy"],
            "accepted_originals": float(recognized[k].mean()),
            **{kind: _of_judge(answers[kind][k], labels, other) for kind in kinds},
        }
        for k, judge in enumerate(judges)
    ]
    return {
        **{kind: _of_panel(answers[kind], labels, other) for kind in kinds},
        "judges": sorted(by_judge, key=lambda x: x["hard"]["acceptance"]),
        "chance": {"acceptance": float(scrambled[:, other].mean())},
        "accepted_originals": float(recognized.mean()),
        "n_examples": len(labels),
        "n_pairs": int(other.sum()),
    }


def _ask(reconstruct, judges, held_out, n_labels):
    """Asks J judges about reconstructions and images.

    Returns:
        Dict: `hard` and `soft`, bool `[J, M, K]`, whether a judge accepts an image as a
        label; `scrambled` and `original`, int32 `[J, M]`, the labels that they name.
    """
    networks = [judge.network for judge in judges]

    def classify_all(images):
        return tf.stack([classify(network, images) for network in networks])

    # The labels are an argument, so that one trace serves all of them.
    @functools.partial(tf.function, autograph=False, reduce_retracing=True)
    def is_accepted(pieces, wanted):
        images = reconstruct(pieces, wanted)
        return {name: classify_all(image) == wanted for name, image in images.items()}

    parts = {}
    for batch in held_out:
        pieces = batch["pieces"]
        by_digit = [
            is_accepted(pieces, tf.fill([len(pieces)], digit))
            for digit in range(n_labels)
        ]
        said = {name: tf.stack([x[name] for x in by_digit], 2) for name in by_digit[0]}
        grid = math.isqrt(pieces.shape[1])
        said["scrambled"] = classify_all(cutting.join(pieces, grid))
        said["original"] = classify_all(cutting.join(batch["target"], grid))
        for name, values in said.items():
            parts.setdefault(name, []).append(values.numpy())
    return {name: np.concatenate(values, axis=1) for name, values in parts.items()}


def _of_panel(accepted, labels, other):
    """The scores of one kind of reconstruction, over all judges.

    Args:
        accepted: bool `[J, M, K]`, whether a judge accepts an image as a label.
        labels: int array `[M]`.
        other: bool `[M, K]`, whether a label is another one than that of the image.
    """
    share = accepted.mean(axis=0)
    of_image = (share * other).sum(axis=1) / other.sum(axis=1)
    # A small split may have no image of a label.
    table = [
        share[labels == label].mean(axis=0).tolist() if label in labels else None
        for label in range(share.shape[1])
    ]
    return {
        "acceptance": float(share[other].mean()),
        "standard_error": float(of_image.std() / math.sqrt(len(labels))),
        "same_digit": float(share[~other].mean()),
        "table": table,
    }


def _of_judge(accepted, labels, other):
    """The scores of one kind of reconstruction by one judge: `accepted` is `[M, K]`."""
    return {
        "acceptance": float(accepted[other].mean()),
        "same_digit": float(accepted[~other].mean()),
        # A small split may have no image of another label.
        "by_target": [
            float(accepted[others, label].mean()) if others.any() else None
            for label, others in enumerate(other.T)
        ],
    }


def table(scores):
    """The scores as lines of text: hard ones by source and target, then the means."""
    rows = scores["hard"]["table"]
    digits = "".join(f"{target:7}" for target in range(len(rows)))
    lines = ["accepted, hard, mean of the judges; rows: source, columns: target"]
    lines.append(f"{'':6}{digits}")
    for source, row in enumerate(rows):
        cells = "" if row is None else "".join(f"{x:7.3f}" for x in row)
        lines.append(f"{source:6}{cells}")
    lines.append(f"{'':16}{'other digits':>14}{'same digit':>14}")
    for name in ("hard", "soft"):
        part = scores[name]
        lines.append(f"{name:16}{part['acceptance']:14.4f}{part['same_digit']:14.4f}")
    lines.append(f"{'scrambled':16}{scores['chance']['acceptance']:14.4f}")
    lines.append(f"{'originals':16}{'':14}{scores['accepted_originals']:14.4f}")
    lines.append("accepted, hard, by judge, the worst first; columns: target")
    lines.append(f"{'':16}{'accuracy':>9}{'others':>9}{digits}")
    for judge in scores["judges"]:
        shares = judge["hard"]["by_target"]
        cells = "".join(f"{'':7}" if x is None else f"{x:7.3f}" for x in shares)
        lines.append(
            f"{judge['name']:16}{judge['accuracy']:9.4f}"
            f"{judge['hard']['acceptance']:9.4f}{cells}"
        )
    lines.append(f"{scores['n_examples']:,} images, {scores['n_pairs']:,} pairs")
    return "\n".join(lines)
