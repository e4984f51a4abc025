import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st

N = 4
OPTIONS = {"n_iters": 2}


def of_gumbel_sinkhorn(distribution):
    """What the methods of a distribution return."""
    return (
        distribution.sample(2, seed=5),
        distribution.sample_matching(2, seed=5),
        # The divergences are large numbers, which are compared relatively.
        tf.math.log1p(distribution.kl_to_prior(distribution.temperature)),
        tf.math.log1p(distribution.kl_to_prior(distribution.temperature, tight=True)),
        distribution.sample_mixture(3, seed=5),
    )


def of_gumbel_matching(distribution):
    return (
        distribution.mode(),
        distribution.sample([2], seed=5),
        distribution.expected_matching(3, seed=5),
        distribution.expected_matching(3, 5, gradient="straight_through"),
        distribution.expected_loss(
            lambda perm: tf.cast(perm[..., 0], tf.float32), 3, 5
        ),
    )


def of_boltzmann(distribution, perm):
    return (
        distribution.log_partition(),
        distribution.log_prob(perm),
        distribution.marginals(),
        distribution.entropy(),
        distribution.sample((2, 1), seed=5),
        distribution.log_partition_bethe(20),
        distribution.marginals_bethe(20),
        distribution.sample_metropolis(2, seed=5, n_steps=9),
    )


# A function of (logits, perm, items, temperature) for each public operator and layer.
OPERATORS = {
    "sinkhorn": lambda x, p, items, t: st.sinkhorn(x, t, 2),
    "gumbel_sinkhorn": lambda x, p, items, t: st.gumbel_sinkhorn(
        x, t, 2, n_iters=2, seed=5
    ),
    "sinkhorn_solve": lambda x, p, items, t: st.sinkhorn_solve(x, t),
    "soft_sort": lambda x, p, items, t: st.soft_sort(x[..., 0]),
    "soft_rank": lambda x, p, items, t: st.soft_rank(x[..., 0]),
    "sorting.soft_argsort": lambda x, p, items, t: st.sorting.soft_argsort(
        x, axis=1, direction="DESCENDING"
    ),
    "sorting.soft_top_k_values": lambda x, p, items, t: st.sorting.soft_top_k_values(
        x[..., 0], 2, direction="DESCENDING"
    ),
    "sorting.soft_quantile": lambda x, p, items, t: st.sorting.soft_quantile(
        x, [0.2, 0.7], axis=1
    ),
    "sorting.soft_median": lambda x, p, items, t: st.sorting.soft_median(x[..., 0]),
    "sorting.neural_sort": lambda x, p, items, t: st.sorting.neural_sort(x[..., 0], t),
    "sorting.soft_sort_l1": lambda x, p, items, t: st.sorting.soft_sort_l1(
        x[..., 0], t
    ),
    "partial_sinkhorn": lambda x, p, items, t: st.partial_sinkhorn(x, t - 0.3, t, 2),
    "soft_top_k": lambda x, p, items, t: st.soft_top_k(x[..., 0], p[:, 0] % 3, t),
    "matching": lambda x, p, items, t: st.matching(x),
    "partial_matching": lambda x, p, items, t: st.partial_matching(
        x, t - 0.3, certified=True
    ),
    "certified_matching": lambda x, p, items, t: st.certified_matching(x),
    "permutations.to_matrix": lambda x, p, items, t: st.permutations.to_matrix(p),
    "permutations.from_matrix": lambda x, p, items, t: st.permutations.from_matrix(
        st.permutations.to_matrix(p)
    ),
    "permutations.is_permutation": lambda x, p, items, t: (
        st.permutations.is_permutation(p)
    ),
    "permutations.inverse": lambda x, p, items, t: st.permutations.inverse(p),
    "permutations.compose": lambda x, p, items, t: st.permutations.compose(p, p),
    "permutations.sample": lambda x, p, items, t: st.permutations.sample((3,), N, 5),
    "permutations.apply": lambda x, p, items, t: st.permutations.apply(p, items),
    "metrics.proportion_wrong": lambda x, p, items, t: st.metrics.proportion_wrong(
        p, p
    ),
    "metrics.proportion_any_wrong": lambda x, p, items, t: (
        st.metrics.proportion_any_wrong(p, p[:1])
    ),
    "metrics.matching_precision": lambda x, p, items, t: st.metrics.matching_precision(
        p, p[:1]
    ),
    "metrics.kendall_tau": lambda x, p, items, t: st.metrics.kendall_tau(p, p[:1]),
    "distributions.gumbel_noise": lambda x, p, items, t: st.distributions.gumbel_noise(
        (3, N, N), 5
    ),
    "distributions.perturbed_sinkhorn": lambda x, p, items, t: (
        st.distributions.perturbed_sinkhorn(x, x[:, None] ** 2, t, 0.5, 2)
    ),
    "distributions.GumbelSinkhorn": lambda x, p, items, t: of_gumbel_sinkhorn(
        st.distributions.GumbelSinkhorn(x, t, 0.5, 2)
    ),
    "distributions.GumbelMatching": lambda x, p, items, t: of_gumbel_matching(
        st.distributions.GumbelMatching(x, 0.5)
    ),
    "distributions.BoltzmannPermutations": lambda x, p, items, t: of_boltzmann(
        st.distributions.BoltzmannPermutations(x, t), p
    ),
    "distributions.round_to_doubly_stochastic": lambda x, p, items, t: (
        st.distributions.round_to_doubly_stochastic(tf.nn.softmax(x))
    ),
    "losses.reconstruction": lambda x, p, items, t: st.losses.reconstruction(
        tf.nn.softmax(x)[:, None], items, items**2
    ),
    "losses.cross_entropy": lambda x, p, items, t: st.losses.cross_entropy(
        tf.nn.softmax(x)[:, None], p
    ),
    "SinkhornLayer": lambda x, p, items, t: LAYERS["SinkhornLayer"](x, temperature=t),
    "GumbelSinkhorn": lambda x, p, items, t: LAYERS["GumbelSinkhorn"](x),
    "PartialSinkhorn": lambda x, p, items, t: LAYERS["PartialSinkhorn"](x),
    "SoftTopK": lambda x, p, items, t: LAYERS["SoftTopK"](x[..., 0], temperature=t),
    "Matching": lambda x, p, items, t: LAYERS["Matching"](x),
    "Restore": lambda x, p, items, t: LAYERS["Restore"]([tf.nn.softmax(x), items]),
}
LAYERS = {
    "SinkhornLayer": st.SinkhornLayer(**OPTIONS),
    "GumbelSinkhorn": st.GumbelSinkhorn(0.5, n_samples=2, **OPTIONS),
    "PartialSinkhorn": st.PartialSinkhorn(0.3, 0.5, **OPTIONS),
    "SoftTopK": st.SoftTopK(2),
    "Matching": st.Matching(),
    "Restore": st.Restore(),
}
# The same of rectangles, with a mask that differs by example.
RECTANGLES = {
    "sinkhorn": lambda x, p, items, t, mask: st.sinkhorn(
        x[..., :3], t, 2, row_mask=mask
    ),
    "sinkhorn_solve": lambda x, p, items, t, mask: st.sinkhorn_solve(
        x[..., :3, :], t, row_mask=mask[:, 1:], col_mask=mask
    ),
    "certified_matching": lambda x, p, items, t, mask: st.certified_matching(
        x[..., :3, :], row_mask=mask[:, 1:], col_mask=mask
    ),
    "partial_sinkhorn": lambda x, p, items, t, mask: st.partial_sinkhorn(
        x[..., :3], 0.2, t, 2, row_mask=mask
    ),
    "soft_top_k": lambda x, p, items, t, mask: st.soft_top_k(
        x[..., 0], 2, t, mask=mask
    ),
    "sorting": lambda x, p, items, t, mask: (
        st.soft_sort(x[..., 0], mask=mask),
        st.soft_rank(x[..., 0], top_k=2, mask=mask),
        st.sorting.soft_argsort(x[..., 0], mask=mask),
        st.sorting.soft_quantile(x[..., 0], 0.3, mask=mask),
        st.sorting.neural_sort(x[..., 0], t, mask=mask),
        st.sorting.soft_sort_l1(x[..., 0], t, mask=mask),
    ),
    "partial_matching": lambda x, p, items, t, mask: st.partial_matching(
        x[..., :3, :], t - 0.3, row_mask=mask[:, 1:], col_mask=mask, certified=True
    ),
    "permutations": lambda x, p, items, t, mask: (
        st.permutations.to_matrix(p, n_positions=6),
        st.permutations.inverse(p, n_positions=6),
        st.permutations.apply(p, items, n_positions=6),
        st.permutations.is_permutation(p, partial=True, n_positions=3),
    ),
    "metrics": lambda x, p, items, t, mask: st.metrics.matching_precision(
        p, tf.where(mask[..., None], x[..., :3], 0)
    ),
    "GumbelSinkhorn": lambda x, p, items, t, mask: LAYERS["GumbelSinkhorn"](
        x[..., :3], row_mask=mask, col_marginals=1 + t[:, None] * tf.range(3.0)
    ),
    "distributions": lambda x, p, items, t, mask: (
        of_gumbel_sinkhorn(
            st.distributions.GumbelSinkhorn(x[..., :3], t, 0.5, 2, row_mask=mask)
        ),
        of_gumbel_matching(
            st.distributions.GumbelMatching(x[..., :3], 0.5, row_mask=mask)
        ),
        of_boltzmann(
            st.distributions.BoltzmannPermutations(x[..., :3], t, row_mask=mask), p
        ),
    ),
    "PartialSinkhorn": lambda x, p, items, t, mask: LAYERS["PartialSinkhorn"](
        x[..., :3], row_mask=mask
    ),
    "SoftTopK": lambda x, p, items, t, mask: LAYERS["SoftTopK"](x[..., 0], mask=mask),
    "Restore": lambda x, p, items, t, mask: LAYERS["Restore"](
        [tf.where(mask[..., None], x[..., :3], 0), items]
    ),
}
# Public names that run nothing on tensors; each has a test file of its own.
OTHERS = {
    "AnnealTemperature",
    "CertifiedMatching",
    "PartialPlan",
    "SinkhornSolution",
    "__version__",
    "distributions.MixtureSample",
    "entropic.LayerBounds",
    "entropic.assignment_gap",
    "entropic.assignment_suboptimality",
    "entropic.birkhoff_radii",
    "entropic.distance_bound",
    "entropic.fast_rate",
    "entropic.integral_rate",
    "entropic.layer_bounds",
    "entropic.lower_bound_eta",
    "entropic.relaxed_rate",
    "entropic.second_best_gap",
    "entropic.simplex_fast_lower_bound",
    "entropic.simplex_radii",
    "entropic.simplex_slow_lower_bound",
    "entropic.simplex_solution",
    "entropic.slow_rate",
    "entropic.solve_lp",
    "entropic.suboptimality_gap",
    "entropic.sufficient_eta",
    "entropic.temperature_for_accuracy",
    "entropic.tight_instance",
    "entropic.tight_lower_bound",
    "entropic.transport_radii",
    "export_solver",
    "layers.DenseByTarget",
    "layers.EdgeFeatures",
    "layers.PairAttention",
    "metrics.KendallTau",
    "metrics.MatchingPrecision",
    "metrics.ProportionAnyWrong",
    "metrics.ProportionWrong",
    "models.assembly_network",
    "models.jigsaw_network",
    "models.sorting_network",
    "networks.assembly_network",
    "networks.jigsaw_network",
    "networks.sorting_network",
}


def public_names():
    """Public names, but for those in rooms that the package itself has too."""
    top = [getattr(st, name) for name in st.__all__]
    for name in st.__all__:
        value = getattr(st, name)
        if not hasattr(value, "__path__") and not hasattr(value, "__spec__"):
            yield name
            continue
        own = [
            inner
            for inner, part in vars(value).items()
            if not inner.startswith("_")
            and getattr(part, "__module__", None) == value.__name__
        ]
        for inner in getattr(value, "__all__", own):
            if not any(getattr(value, inner) is known for known in top):
                yield f"{name}.{inner}"


def test_every_public_name_is_in_a_table():
    covered = OPERATORS.keys() | OTHERS
    assert covered == set(public_names())


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    perm = np.array([[2, 0, 1, 3], [-1, -1, -1, -1], [1, 2, 3, 0]], np.int32)
    arrays = (
        rng.normal(size=(3, N, N)).astype(np.float32),
        perm,
        rng.normal(size=(3, N, 2)).astype(np.float32),
        np.float32([1, 0.5, 0.1]),
    )
    return [tf.constant(array) for array in arrays]


@pytest.fixture(scope="module")
def masked_inputs(inputs):
    """The inputs, with NaN where the mask says that an item does not exist."""
    x, perm, items, t = inputs
    mask = np.array([[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 1, 0]], bool)
    x = tf.where(mask[..., None] | (np.arange(N) > 0), x, np.nan)
    return [x, tf.where(mask, perm, -1), items, t, tf.constant(mask)]


def outputs_of(operators):
    def outputs_by_name(*inputs):
        return {
            key(name): tuple(tf.nest.flatten(function(*inputs)))
            for name, function in operators.items()
        }

    return outputs_by_name


def key(name):
    return name.replace(".", "_").replace(" ", "_")


@pytest.fixture(scope="module")
def eager(inputs, masked_inputs):
    return {
        False: outputs_of(OPERATORS)(*inputs),
        True: outputs_of(RECTANGLES)(*masked_inputs),
    }


@pytest.fixture(scope="module")
def run(inputs, masked_inputs, tmp_path_factory):
    """The outputs of all operators in a mode, of rectangles with masks or without."""
    module = tf.Module()
    module.layers = list(LAYERS.values())
    both = {False: inputs, True: masked_inputs}
    traced = []
    for operators, tensors in ((OPERATORS, inputs), (RECTANGLES, masked_inputs)):
        specs = [tf.TensorSpec([None, *x.shape[1:]], x.dtype) for x in tensors]
        traced.append(tf.function(outputs_of(operators), specs))
    module.run, module.run_masked = traced

    @functools.cache
    def exported():
        directory = str(tmp_path_factory.mktemp("exported"))
        tf.saved_model.save(module, directory)
        return tf.saved_model.load(directory)

    @functools.cache
    def run(mode, masked):
        if mode == "xla":
            outputs = outputs_of(RECTANGLES if masked else OPERATORS)
            return tf.function(outputs, jit_compile=True)(*both[masked])
        source = module if mode == "graph" else exported()
        return (source.run_masked if masked else source.run)(*both[masked])

    return run


@pytest.mark.parametrize("mode", ["graph", "xla", "exported"])
@pytest.mark.parametrize(
    "name, masked",
    [*((name, False) for name in OPERATORS), *((name, True) for name in RECTANGLES)],
)
def test_mode_agrees_with_eager(run, eager, name, masked, mode):
    outputs = run(mode, masked)[key(name)], eager[masked][key(name)]
    for actual, expected in zip(*outputs, strict=True):
        assert actual.dtype == expected.dtype
        if expected.dtype.is_floating:
            np.testing.assert_allclose(actual, expected, atol=3e-6)
        else:
            np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_is_one_sentence(run_python, tmp_path, backend, installed):
    if installed:
        # Neither is installed here: a stand-in for a Keras that runs on it.
        (tmp_path / "keras").mkdir()
        (tmp_path / "keras" / "__init__.py").write_text("from keras import backend")
        (tmp_path / "keras" / "backend.py").write_text(
            f"def backend():\n    return {backend!r}\n"
        )
    done = run_python(
        """
        import sys

        sys.path.insert(0, "")
        try:
            import sinkhorn_tf
        except ImportError as error:
            print(error)
        """,
        environment={"KERAS_BACKEND": backend},
    )
    assert done.returncode == 0, done.stderr
    assert "KERAS_BACKEND=tensorflow" in done.stdout and backend in done.stdout
    assert len(done.stdout.strip().splitlines()) == 1


def test_version_is_the_installed_one():
    from importlib.metadata import version

    assert st.__version__ == version("sinkhorn_tf")


def test_public_classes_are_registered_under_the_package():
    for name in public_names():
        value = functools.reduce(getattr, name.split("."), st)
        if isinstance(value, type) and issubclass(
            value, (keras.layers.Layer, keras.metrics.Metric)
        ):
            registered = keras.saving.get_registered_name(value)
            assert registered == f"sinkhorn_tf>{value.__name__}"
