import keras
import numpy as np
import pytest
import tensorflow as tf

from sinkhorn_tf import models as networks
from sinkhorn_tf.layers.edge_features import EdgeFeatures


@pytest.fixture(scope="module", params=["paper", "context"])
def network(request):
    return networks.jigsaw_network(
        9, (6, 5, 3), request.param, filters=8, kernel_size=3, width=24, depth=2
    )


def draw_pieces(rng, batch=2):
    return rng.random((batch, 9, 6, 5, 3)).astype(np.float32)


def test_shapes(rng, network):
    assert network.input_shape == (None, 9, 6, 5, 3)
    assert network.output_shape == (None, 9, 9)
    for batch in (1, 4):
        assert network(draw_pieces(rng, batch)).shape == (batch, 9, 9)


def test_scrambling_pieces_permutes_rows_of_the_logits_and_nothing_else(rng, network):
    pieces, order = draw_pieces(rng), rng.permutation(9)
    logits = network(pieces).numpy()
    scrambled = network(pieces[:, order]).numpy()
    np.testing.assert_allclose(scrambled, logits[:, order], atol=2e-5)
    assert np.abs(scrambled - logits).max() > 1e-3


def test_paper_is_one_convolution_and_one_dense_layer():
    network = networks.jigsaw_network(9, (6, 5, 3), filters=8, kernel_size=3)
    parameters = 8 * (3 * 3 * 3 + 1) + 9 * (3 * 3 * 8 + 1)
    assert network.count_params() == parameters


def test_dropout_changes_the_logits_in_training_alone(rng):
    pieces = draw_pieces(rng)
    keras.utils.set_random_seed(0)
    network = networks.jigsaw_network(9, (6, 5, 3), filters=8, dropout=0.5)
    plain = networks.jigsaw_network(9, (6, 5, 3), filters=8)
    # Dropout has no weights: those of a network without it fit.
    plain.set_weights(network.get_weights())
    first, second = (network(pieces, training=True).numpy() for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(network(pieces, training=False), plain(pieces))
    np.testing.assert_array_equal(plain(pieces, training=True), plain(pieces))


def test_paper_sees_a_piece_alone_and_context_all(rng):
    pieces = draw_pieces(rng)
    changed = pieces.copy()
    changed[:, 1:] = draw_pieces(rng)[:, 1:]
    for kind, alone in (("paper", True), ("context", False)):
        network = networks.jigsaw_network(9, (6, 5, 3), kind, width=24)
        first, second = network(pieces)[:, 0], network(changed)[:, 0]
        assert np.allclose(first, second, atol=1e-6) == alone


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 4, 3), (12, 12, 1), (32, 32, 3)])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_context_takes_pieces_of_any_size(rng, shape, n):
    network = networks.jigsaw_network(n, shape, "context", width=16, depth=1)
    pieces = rng.random((2, n, *shape)).astype(np.float32)
    assert np.isfinite(network(pieces)).all()
    assert np.isfinite(network(np.zeros_like(pieces))).all()


def test_edge_features_against_a_loop(rng):
    pieces = rng.random((1, 3, 4, 5, 2)).astype(np.float32)
    actual = EdgeFeatures()(pieces).numpy()[0]
    fit = np.zeros((3, 3, 8))
    for i, j in np.ndindex(3, 3):
        a, b = pieces[0, i].astype(np.float64), pieces[0, j].astype(np.float64)
        # j to the right of i, to its left, below, above.
        lines = [
            (a[:, ::-1].swapaxes(0, 1), b.swapaxes(0, 1)),
            (b[:, ::-1].swapaxes(0, 1), a.swapaxes(0, 1)),
            (a[::-1], b),
            (b[::-1], a),
        ]
        for direction, (x, y) in enumerate(lines):
            half = 1.5 * x[0] - 0.5 * x[1], 1.5 * y[0] - 0.5 * y[1]
            for kind, (u, v) in enumerate(((x[0], y[0]), half)):
                fit[i, j, 2 * direction + kind] = np.log(np.mean((u - v) ** 2) + 1e-4)
    for i, j in np.ndindex(3, 3):
        if i == j:
            assert not actual[i, j].any()
            continue
        others = [k for k in range(3) if k != i]
        rivals = [k for k in range(3) if k != j]
        expected = [
            fit[i, j] - fit[i, others].mean(axis=0),
            fit[i, j] - fit[i, others].min(axis=0),
            fit[i, j] - fit[rivals, j].min(axis=0),
        ]
        np.testing.assert_allclose(actual[i, j], np.concatenate(expected), atol=1e-4)


def test_coarse_edges_are_those_of_the_pieces_in_blocks(rng):
    blocks = rng.random((2, 4, 6, 5, 3)).astype(np.float32)
    pieces = blocks.repeat(2, axis=2).repeat(2, axis=3)
    fine = EdgeFeatures()(blocks).numpy().reshape(2, 4, 4, 3, 4, 2)
    both = EdgeFeatures(scales=2)(pieces).numpy().reshape(2, 4, 4, 3, 4, 2, 2)
    np.testing.assert_allclose(both[..., 1, :], fine, atol=1e-4)
    assert EdgeFeatures(scales=2).compute_output_shape(pieces.shape) == (2, 4, 4, 48)


def test_coarse_edges_see_across_a_gap(rng):
    # Slanted waves and noise of single pixels, in pieces that are 4 pixels apart.
    y, x = np.mgrid[:48, :48] / 48
    a, b, c = rng.uniform(2, 12, (3, 20, 6, 1, 1))
    images = 0.5 + 0.08 * np.sin(a * x + b * y + c).sum(axis=1)
    images += 0.2 * rng.normal(size=images.shape)
    pieces = images.reshape(20, 3, 16, 3, 16).transpose(0, 1, 3, 2, 4)
    pieces = pieces.reshape(20, 9, 16, 16, 1)[:, :, 2:-2, 2:-2]
    actual = EdgeFeatures(scales=2)(pieces).numpy().reshape(20, 9, 9, 3, 4, 2, 2)
    # Is it the best fit of all, with extrapolation, that is to the right?
    best = actual[..., 1, 0, :, 1] == 0
    right = [best[:, i, i + 1].mean(axis=0) for i in range(9) if i % 3 < 2]
    fine, coarse = np.mean(right, axis=0)
    assert coarse > 1.5 * fine


@pytest.mark.parametrize("scales", [1, 3, 6])
@pytest.mark.parametrize("side", [1, 2, 5, 9])
def test_edges_of_small_pieces(rng, scales, side):
    pieces = rng.random((2, 4, side, side, 1)).astype(np.float32)
    actual = EdgeFeatures(scales)(pieces)
    assert actual.shape == (2, 4, 4, 24 * scales)
    assert np.isfinite(actual).all()


def test_edges_at_no_scale_are_refused_and_a_network_does_without(rng):
    with pytest.raises(ValueError, match="Received: scales=0"):
        EdgeFeatures(scales=0)
    network = networks.jigsaw_network(4, (4, 4, 1), "context", width=16, edge_scales=0)
    assert network(rng.random((2, 4, 4, 4, 1))).shape == (2, 4, 4)
    assert not any(isinstance(layer, EdgeFeatures) for layer in network.layers)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_edge_features_do_not_suffer_from_half_precision(rng, policy):
    # Smooth: all is in small differences.
    ramp = np.linspace(0, 0.2, 16)[:, None] + np.linspace(0.3, 0.5, 16)
    pieces = (ramp[..., None] + 0.01 * rng.random((2, 9, 16, 16, 3))).astype(np.float32)
    expected = EdgeFeatures()(pieces)
    actual = EdgeFeatures(dtype=policy)(pieces)
    assert actual.dtype == keras.DTypePolicy(policy).compute_dtype
    np.testing.assert_allclose(
        tf.cast(actual, tf.float32), expected, atol=0.05 if "mixed" in policy else 1e-4
    )
    network = networks.jigsaw_network(9, (16, 16, 3), "context", width=16)
    assert np.isfinite(network(pieces)).all()


def test_a_width_that_the_heads_do_not_divide_is_an_error():
    with pytest.raises(ValueError, match="heads=8. Received: width=20"):
        networks.jigsaw_network(4, (4, 4, 1), "context", width=20)


@pytest.mark.parametrize("dropout", [-0.1, 1, 1.5, float("nan")])
def test_dropout_of_all_or_less_than_none_is_an_error(dropout):
    with pytest.raises(ValueError, match=f"Received: dropout={dropout}"):
        networks.jigsaw_network(4, (4, 4, 1), dropout=dropout)


def test_unknown_kind_is_an_error():
    with pytest.raises(ValueError, match="Received: kind='deep'"):
        networks.jigsaw_network(9, (6, 5, 3), kind="deep")


def test_save_and_load_in_safe_mode(rng, network, tmp_path):
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    pieces = draw_pieces(rng)
    np.testing.assert_array_equal(loaded(pieces), network(pieces))
    assert loaded.inputs[0].name == "pieces"


@pytest.fixture(scope="module", params=[{}, {"depth": 1}])
def assembly(request):
    return networks.assembly_network(
        9, (3, 3, 1), 4, width=16, hidden=2, heads=4, **request.param
    )


def draw_assembly(rng, batch=5):
    pieces = rng.random((batch, 9, 3, 3, 1)).astype(np.float32)
    return pieces, rng.integers(0, 4, batch).astype(np.int32)


def test_assembly_uses_the_layer_of_the_target(rng, assembly):
    pieces, digit = draw_assembly(rng)
    logits = assembly([pieces, digit]).numpy()
    assert logits.shape == (5, 9, 9)
    layer = assembly.get_layer("logits")
    trunk = keras.Model(assembly.inputs[0], layer.input[0])
    kernel, bias = (weight.numpy() for weight in (layer.kernel, layer.bias))
    expected = trunk(pieces).numpy() @ kernel[digit] + bias[digit][:, None]
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_assembly_trains_the_layer_of_the_target_alone(rng, assembly):
    pieces, _ = draw_assembly(rng)
    digit = np.array([1, 3, 3, 1, 1], np.int32)
    layer = assembly.get_layer("logits")
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(assembly([pieces, digit]) ** 2)
    gradient = tape.gradient(total, layer.kernel.value).numpy()
    np.testing.assert_array_equal(
        np.abs(gradient).sum(axis=(1, 2)) > 0, [False, True, False, True]
    )


def test_assembly_of_an_unknown_target_is_nan_and_spares_the_others(rng, assembly):
    pieces, digit = draw_assembly(rng)
    expected = assembly([pieces, digit]).numpy()
    bad = digit.copy()
    bad[[1, 3]] = -1, 4
    logits = assembly([pieces, bad]).numpy()
    assert np.isnan(logits[[1, 3]]).all()
    np.testing.assert_array_equal(logits[[0, 2, 4]], expected[[0, 2, 4]])


def test_assembly_is_equivariant_and_survives_saving(rng, assembly, tmp_path):
    pieces, digit = draw_assembly(rng)
    order = rng.permutation(9)
    logits = assembly([pieces, digit]).numpy()
    scrambled = assembly([pieces[:, order], digit]).numpy()
    np.testing.assert_allclose(scrambled, logits[:, order], atol=2e-5)
    assembly.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded([pieces, digit]), logits)
    assert [x.name for x in loaded.inputs] == ["pieces", "digit"]


def test_the_sum_of_the_pieces_decides_which_layer_of_a_target_assembles(rng, tmp_path):
    network = networks.assembly_network(9, (3, 3, 2), 4, width=16, bounds=[20, 60.0])
    pieces = rng.random((5, 9, 3, 3, 2)).astype(np.float32)
    # Sums of the means of channels: below, at and above the bounds.
    sums = np.array([10, 20, 59, 60, 80], np.float32)
    pieces *= (sums / pieces.mean(axis=-1).sum(axis=(1, 2, 3)))[
        :, None, None, None, None
    ]
    pieces[[1, 3]] *= 1 + 1e-5
    digit = np.array([0, 2, 3, 1, 3], np.int32)
    logits = network([pieces, digit]).numpy()
    layer = network.get_layer("logits")
    assert layer.kernel.shape == (12, 16, 9)
    trunk = keras.Model(network.inputs[0], layer.input[0])
    kernel, bias = (weight.numpy() for weight in (layer.kernel, layer.bias))
    used = 3 * digit + [0, 1, 1, 2, 2]
    expected = trunk(pieces).numpy() @ kernel[used] + bias[used][:, None]
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    for missing in (-1, 4):
        there_is_none = np.full(5, missing, np.int32)
        assert np.isnan(network([pieces, there_is_none])).all()
    order = rng.permutation(9)
    scrambled = network([pieces[:, order], digit]).numpy()
    np.testing.assert_allclose(scrambled, logits[:, order], atol=2e-5)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded([pieces, digit]), logits)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"hidden": 0}, "hidden=0"),
        ({"n_targets": 0}, "targets=0"),
        ({"bounds": [3, 3]}, r"bounds=\[3.0, 3.0\]"),
        ({"bounds": [float("nan")]}, r"bounds=\[nan\]"),
        ({"depth": 1, "heads": 3, "width": 16}, "heads=3. Received: width=16"),
    ],
)
def test_assembly_refuses_what_does_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        networks.assembly_network(4, (2, 2, 1), **arguments)
