import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

from pipelines.assembly.pairs import Pairs, bolder, contents, nearest
from pipelines.shared import datasets
from pipelines.shared.errors import UserError
from pipelines.shared.input_pipeline.batches import BatchPlan
from pipelines.shared.puzzles import cutting


def digits(split="train"):
    return datasets.load("digits", split, size=8)


def batches_of(pairs, first=0, last=3, batch_size=16, context=None):
    plan = BatchPlan(batch_size, first_step=first, last_step=last, seed=1)
    dataset = pairs.training(plan, context or tf.distribute.InputContext())
    return [{name: value.numpy() for name, value in batch.items()} for batch in dataset]


def sorted_pieces(pieces):
    flat = pieces.reshape(len(pieces), pieces.shape[1], -1)
    return np.stack([part[np.lexsort(part.T)] for part in flat])


def test_own_pairs_are_the_pieces_of_the_target():
    data = digits()
    pairs = Pairs(data.images, data.labels, grid=4, candidates=0)
    for batch in batches_of(pairs):
        np.testing.assert_array_equal(
            sorted_pieces(batch["pieces"]), sorted_pieces(batch["target"])
        )
        whole = cutting.join(batch["target"], 4).numpy() * 255
        for image, digit in zip(np.round(whole), batch["digit"], strict=True):
            same = (data.images == image).all(axis=(1, 2, 3))
            assert digit in data.labels[same]


def test_nearest_pairs_have_an_image_of_the_wanted_digit_as_target():
    data = digits()
    pairs = Pairs(data.images, data.labels, grid=4, candidates=50)
    seen = set()
    for batch in batches_of(pairs):
        whole = np.round(cutting.join(batch["target"], 4).numpy() * 255)
        for image, digit in zip(whole, batch["digit"], strict=True):
            same = (data.images == image).all(axis=(1, 2, 3))
            assert digit in data.labels[same]
            seen.add(int(digit))
    assert len(seen) > 7


def test_a_later_start_yields_the_same_pairs():
    data = digits()
    pairs = Pairs(data.images, data.labels, grid=4, candidates=20)
    for whole, later in zip(batches_of(pairs)[1:], batches_of(pairs, 1), strict=True):
        for name, value in whole.items():
            np.testing.assert_array_equal(value, later[name])


@pytest.mark.parametrize("candidates", [0, 20])
def test_two_replicas_share_the_pairs_of_one(candidates):
    data = digits()
    pairs = Pairs(data.images, data.labels, grid=4, candidates=candidates)
    context = tf.distribute.InputContext(num_replicas_in_sync=2)
    parts = batches_of(pairs, context=context)
    for step, whole in enumerate(batches_of(pairs)):
        mine = [part for part in parts if part["step"] == step]
        assert [len(part["digit"]) for part in mine] == [8, 8]
        for name in ("pieces", "digit", "target", "position"):
            joined = np.concatenate([part[name] for part in mine])
            np.testing.assert_array_equal(joined, whole[name])


def test_a_label_without_images_is_refused_where_candidates_are_taken():
    data = digits()
    others = data.labels != 3
    images, labels = data.images[others], data.labels[others]
    with pytest.raises(UserError, match="Received: none of label 3"):
        Pairs(images, labels, grid=4, candidates=20)
    Pairs(images, labels, grid=4, candidates=0)


def test_contents_bound_the_error_of_the_best_assembly_and_ignore_order(rng):
    images = rng.integers(0, 256, (8, 9, 9, 1), np.uint8)
    vectors = contents(images, 3).numpy()
    pieces = cutting.cut(images / np.float32(255), 3).numpy().reshape(8, 9, 9)
    for a, b in np.ndindex(8, 8):
        cost = ((pieces[a][:, None] - pieces[b][None]) ** 2).sum(axis=2)
        best = cost[linear_sum_assignment(cost)].sum()
        assert ((vectors[a] - vectors[b]) ** 2).sum() <= best + 1e-4
    order = rng.permutation(9)
    moved = cutting.join(pieces[:, order].reshape(8, 9, 3, 3, 1), 3).numpy()
    again = contents(np.round(moved * 255).astype(np.uint8), 3)
    np.testing.assert_allclose(again, vectors, atol=1e-5)


def test_nearest_against_a_loop(rng):
    content = rng.random((5, 7)).astype(np.float32)
    candidates = rng.random((3, 4, 7)).astype(np.float32)
    label = np.array([2, 0, 1, 1, 2], np.int32)
    places = nearest(content, tf.constant(candidates), label).numpy()
    for c, k, place in zip(content, label, places, strict=True):
        distances = ((candidates[k] - c) ** 2).sum(axis=1)
        assert place == 4 * k + distances.argmin()


def test_bolder_copies_serve_as_targets_alone():
    data = digits()
    images, labels = data.images[:40], data.labels[:40]
    bold = bolder(images, 1)
    padded = np.pad(images, ((0, 0), (0, 1), (0, 1), (0, 0)))
    shifts = [padded[:, y : y + 8, x : x + 8] for y in (0, 1) for x in (0, 1)]
    np.testing.assert_array_equal(bold, np.max(shifts, axis=0))
    pairs = Pairs(images, labels, grid=4, candidates=50, bold=1)
    known = np.concatenate([images, bold])
    for batch in batches_of(pairs):
        whole = np.round(cutting.join(batch["target"], 4).numpy() * 255)
        for image in whole:
            assert (known == image).all(axis=(1, 2, 3)).any()
        for pieces in sorted_pieces(batch["pieces"]):
            of_images = sorted_pieces(cutting.cut(images / np.float32(255), 4).numpy())
            assert np.isclose(of_images, pieces).all(axis=(1, 2)).any()
