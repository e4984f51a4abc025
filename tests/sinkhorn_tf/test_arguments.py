"""Every public function, and values of the wrong kind or out of range for each of its
arguments: one sentence that names the argument and the value, before anything runs."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from sinkhorn_tf._core.refusals import shown
from tests.sinkhorn_tf.bad_values import BAD, EYE

PERM = [2, 0, 1]

COMPILED = {"jit_compile": (None, "jit_compile")}
MASKS = {"row_mask": ([True, True, False], "mask"), "col_mask": (None, "mask")}
MARGINALS = {
    "row_marginals": ([1.0, 2.0, 1.0], "marginals"),
    "col_marginals": (None, "marginals"),
}
SIZE = {"n_positions": (4, "optional size")}
SINKHORN = {
    "logits": (EYE, "logits"),
    "temperature": (1.0, "temperature"),
    "n_iters": (2, "count from 0"),
    "tolerance": (1e-2, "tolerance"),
    "gradient": ("unrolled", "gradient"),
    **MASKS,
    **MARGINALS,
    **COMPILED,
}
SOFT_SORT = {
    "values": ([3.0, 1.0, 2.0], "values"),
    "temperature": (1.0, "temperature"),
    "top_k": (2, "optional count"),
    "axis": (-1, "axis"),
    "direction": ("ASCENDING", "direction"),
    "mask": ([True, True, False], "mask"),
    **COMPILED,
}
COSTS = {"cost": (-np.eye(3), "cost")}
PAIR = {"y_true": (PERM, "pair"), "y_pred": (PERM, "pair")}
ETA, COUNT = {"eta": (1.0, "real")}, {"n": (3, "count")}
RADII = {"R1": (1.0, "positive"), "RH": (1.0, "at least 0")}
RATE = {**ETA, "gap": (1.0, "positive or inf"), **RADII}
SIMPLEX = {
    "eta": (1.0, "at least 0"),
    "alpha": (1.0, "number"),
    "beta": (1.0, "number"),
    "d": (3, "count"),
}
# A valid call of every public function, and the kind of each argument.
FUNCTIONS = {
    "sinkhorn": SINKHORN,
    "sinkhorn_solve": {
        "logits": (EYE, "logits"),
        "temperature": (1.0, "temperature"),
        "tolerance": (1e-6, "tolerance"),
        "max_iters": (9, "count"),
        **MASKS,
        **MARGINALS,
        **COMPILED,
    },
    "gumbel_sinkhorn": {
        **SINKHORN,
        "n_samples": (2, "count"),
        "noise_scale": (1.0, "noise_scale"),
        "seed": (3, "seed"),
    },
    "matching": {"logits": (EYE, "any logits"), **MASKS, **COMPILED},
    "partial_sinkhorn": {
        **{name: each for name, each in SINKHORN.items() if "marginals" not in name},
        "unmatched_score": (0.5, "score"),
    },
    "partial_matching": {
        "logits": (EYE, "any logits"),
        "unmatched_score": (0.5, "score"),
        "certified": (True, "bool"),
        **MASKS,
        **COMPILED,
    },
    "soft_top_k": {
        "values": ([3.0, 1.0, 2.0], "values"),
        "k": (2, "k"),
        "temperature": (1.0, "temperature"),
        "mask": ([True, True, False], "mask"),
        **COMPILED,
    },
    "certified_matching": {
        "logits": (EYE, "any logits"),
        "temperature": (None, "optional temperature"),
        **MASKS,
        **COMPILED,
    },
    "soft_sort": SOFT_SORT,
    "soft_rank": SOFT_SORT,
    "permutations.to_matrix": {
        "perm": (PERM, "lists"),
        "dtype": ("float32", "dtype"),
        **SIZE,
    },
    "permutations.from_matrix": {"matrix": (EYE, "matrix")},
    "permutations.is_permutation": {
        "perm": (PERM, "lists"),
        "partial": (True, "bool"),
        **SIZE,
    },
    "permutations.inverse": {"perm": (PERM, "lists"), **SIZE},
    "permutations.compose": {"p": (PERM, "lists"), "q": (PERM, "lists")},
    "permutations.apply": {"perm": (PERM, "lists"), "items": (EYE, "items"), **SIZE},
    "permutations.sample": {
        "batch_shape": ((2,), "batch_shape"),
        **COUNT,
        "seed": (3, "seed"),
    },
    "metrics.proportion_wrong": PAIR,
    "metrics.proportion_any_wrong": PAIR,
    "metrics.kendall_tau": PAIR,
    "metrics.matching_precision": PAIR,
    "entropic.assignment_gap": {**COSTS, "tolerance": (None, "optional tolerance")},
    "entropic.second_best_gap": COSTS,
    "entropic.assignment_suboptimality": {
        "logits": (np.eye(3), "any logits"),
        "temperature": (1.0, "temperature"),
    },
    "entropic.birkhoff_radii": COUNT,
    "entropic.transport_radii": {
        "row_marginals": ([1.0, 1.0, 1.0], "masses"),
        "col_marginals": ([2.0, 1.0], "masses"),
    },
    "entropic.simplex_radii": {"beta": (1.0, "number"), "d": (3, "count")},
    "entropic.slow_rate": {**ETA, "RH": (1.0, "at least 0")},
    "entropic.fast_rate": RATE,
    "entropic.distance_bound": RATE,
    "entropic.relaxed_rate": {
        **ETA,
        "gap_tau": (1.0, "positive or inf"),
        "tau": (0.5, "at least 0"),
        **RADII,
    },
    "entropic.integral_rate": {**ETA, **RADII},
    "entropic.sufficient_eta": {**RATE, "epsilon": (1.0, "positive")},
    "entropic.layer_bounds": {
        "temperature": (1.0, "positive"),
        **COUNT,
        "gap": (None, "optional positive"),
        "gap_tau": (1.0, "positive or inf"),
        "tau": (0.5, "at least 0"),
        "integer": (False, "bool"),
    },
    "entropic.temperature_for_accuracy": {
        "cost": (-np.eye(3), "cost"),
        "epsilon": (1.0, "number"),
        "n": (None, "other count"),
        "gap": (None, "optional positive"),
        "integer": (True, "bool"),
    },
    "entropic.lower_bound_eta": {**COUNT, "epsilon": (0.1, "positive")},
    "entropic.simplex_fast_lower_bound": SIMPLEX,
    "entropic.simplex_slow_lower_bound": SIMPLEX,
    "entropic.simplex_solution": {
        "c": ([1.0, 2.0], "vector"),
        "beta": (1.0, "number"),
        "eta": (1.0, "number"),
    },
    "entropic.tight_instance": COUNT,
    "entropic.tight_lower_bound": {"eta": (1.0, "at least 0"), **COUNT},
    "entropic.solve_lp": {
        "c": ([1.0, 2.0, 3.0], "vector"),
        "A": ([[1.0, 1.0, 1.0]], "table"),
        "b": ([1.0], "vector"),
        "eta": (1.0, "number"),
    },
    "entropic.suboptimality_gap": {
        "c": ([1.0, 2.0, 3.0], "vector"),
        "vertices": (np.eye(3), "table"),
        "tau": (0.0, "at least 0"),
        "tolerance": (None, "optional tolerance"),
    },
}
FUNCTIONS["entropic.sufficient_eta"].pop("eta")
# Functions that are tested elsewhere: this one has files, models and settings.
OTHERS = {"export_solver"}


def public_functions():
    for name in st.__all__:
        value = getattr(st, name)
        if inspect.isfunction(value):
            yield name
        if value in (st.permutations, st.metrics, st.entropic):
            names = getattr(value, "__all__", vars(value))
            for inner in names:
                part = getattr(value, inner)
                if (
                    inspect.isfunction(part)
                    and part.__module__.startswith(value.__name__)
                    and not inner.startswith("_")
                ):
                    yield f"{name}.{inner}"


def get(name):
    function = st
    for part in name.split("."):
        function = getattr(function, part)
    return function


def test_every_public_function_and_argument_is_in_the_table():
    assert FUNCTIONS.keys() | OTHERS == set(public_functions())
    for name, arguments in FUNCTIONS.items():
        assert arguments.keys() == inspect.signature(get(name)).parameters.keys(), name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_bad_value_is_one_sentence_that_names_it(name):
    function = get(name)
    valid = {argument: value for argument, (value, _) in FUNCTIONS[name].items()}
    for argument, (_, kind) in FUNCTIONS[name].items():
        assert kind in BAD
        for value in BAD[kind]:
            with pytest.raises((TypeError, ValueError)) as caught:
                function(**{**valid, argument: value})
                pytest.fail(f"{name} takes {argument}={shown(value)}")
            message = str(caught.value)
            about = f"{name}({argument}={shown(value)}): {message}"
            assert "\n" not in message and len(message) < 400, about
            assert argument in message.partition(". Received: ")[0], about
            assert argument in message.partition(". Received: ")[2], about
            assert ". " not in message.partition(". Received: ")[0], about


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_valid_call_is_valid(name):
    valid = {argument: value for argument, (value, _) in FUNCTIONS[name].items()}
    if "jit_compile" in valid:
        valid["jit_compile"] = False
    get(name)(**valid)


@pytest.mark.parametrize("true", [True, np.True_])
def test_numpy_integers_and_booleans_are_pythons(true):
    soft, noisy = st.gumbel_sinkhorn(
        EYE, 1.0, np.int64(2), n_iters=np.uint8(3), seed=np.int32(5), jit_compile=true
    )
    expected = st.gumbel_sinkhorn(EYE, 1.0, 2, n_iters=3, seed=5, jit_compile=True)
    np.testing.assert_array_equal(soft, expected[0])
    np.testing.assert_array_equal(noisy, expected[1])


def test_layers_take_every_integer_as_a_seed():
    call = lambda seed: st.GumbelSinkhorn(seed=seed)(EYE, training=True).numpy()
    np.testing.assert_array_equal(call(np.int64(3)), call(3))
    config = st.GumbelSinkhorn(seed=np.int64(3)).get_config()
    assert config["seed"] == 3 and type(config["seed"]) is int
    for seed in (-1, 2**32, 10**30):
        np.testing.assert_array_equal(call(seed), call(seed))
        again = st.GumbelSinkhorn.from_config(st.GumbelSinkhorn(seed=seed).get_config())
        np.testing.assert_array_equal(again(EYE, training=True), call(seed))
    for seed in (True, 1.5, "3", [1, 2]):
        with pytest.raises(TypeError, match="seed must be .* Received: seed="):
            st.GumbelSinkhorn(seed=seed)


@pytest.mark.parametrize(
    "name, argument, layer",
    [
        ("sinkhorn", "logits", "st.SinkhornLayer"),
        ("gumbel_sinkhorn", "logits", "st.GumbelSinkhorn"),
        ("matching", "logits", "st.Matching"),
        ("permutations.apply", "items", "st.Restore"),
        ("soft_sort", "values", "a layer"),
    ],
)
def test_a_keras_tensor_names_the_layer(name, argument, layer):
    valid = {key: value for key, (value, _) in FUNCTIONS[name].items()}
    with pytest.raises(TypeError, match=f"{argument} must be no KerasTensor.*{layer}"):
        get(name)(**{**valid, argument: keras.Input((3, 3))})


def test_large_values_are_shortened():
    large = np.full((50, 50), -1.0)
    with pytest.raises(ValueError, match="Received: temperature=array") as caught:
        st.sinkhorn(EYE, large)
    assert len(str(caught.value)) < 160
    for value in (
        large.tolist(),
        tf.constant(large),
        10**5000,
        {"a": large},
        "a" * 999,
    ):
        assert len(shown(value)) <= 80
