"""The masses of problems whose sides differ."""

import types

import numpy as np

from pipelines.benchmark import balance


def problem(n, m, **masks):
    return types.SimpleNamespace(logits=np.zeros((2, n, m), np.float32), **masks)


def test_a_square_has_no_slack():
    square = problem(3, 3)
    assert balance.is_square(square)
    masses = balance.balance(square)
    assert masses.padding == ((0, 0), (0, 0), (0, 0))
    np.testing.assert_array_equal(masses.row_masses, np.ones((2, 3)))
    np.testing.assert_array_equal(masses.col_masses, np.ones((2, 3)))


def test_the_slack_stands_on_the_shorter_side():
    wide = balance.balance(problem(2, 5))
    assert wide.padding == ((0, 0), (0, 1), (0, 0))
    np.testing.assert_array_equal(wide.row_masses, [[1, 1, 3]] * 2)
    np.testing.assert_array_equal(wide.col_masses, np.ones((2, 5)))
    tall = balance.balance(problem(5, 2))
    np.testing.assert_array_equal(tall.row_masses, wide.col_masses)
    np.testing.assert_array_equal(tall.col_masses, wide.row_masses)


def test_examples_may_differ_in_their_shorter_side():
    row_mask = np.array([[True, False, False], [True, True, True]])
    col_mask = np.array([[True, True, True], [True, False, False]])
    ragged = problem(3, 3, row_mask=row_mask, col_mask=col_mask)
    assert not balance.is_square(ragged)
    assert [size.tolist() for size in balance.sizes(ragged)] == [[1, 3], [3, 1]]
    masses = balance.balance(ragged)
    assert masses.padding == ((0, 0), (0, 1), (0, 1))
    np.testing.assert_array_equal(masses.row_masses, [[1, 0, 0, 2], [1, 1, 1, 0]])
    np.testing.assert_array_equal(masses.col_masses, [[1, 1, 1, 0], [1, 0, 0, 2]])
    assert masses.row_masses.dtype == masses.col_masses.dtype == np.float32


def test_masses_have_no_slack():
    rows = np.array([[1, 2, 3], [2, 2, 2]], np.float32)
    shared = problem(3, 2, row_marginals=rows)
    assert not balance.is_square(shared)
    masses = balance.balance(shared)
    assert masses.padding == ((0, 0), (0, 0), (0, 0))
    np.testing.assert_array_equal(masses.row_masses, rows)
    # The other side shares the total.
    np.testing.assert_array_equal(masses.col_masses, [[3, 3]] * 2)
    cols = np.array([[6, 0], [1, 5]], np.float32)
    given = balance.balance(problem(3, 2, row_marginals=rows, col_marginals=cols))
    np.testing.assert_array_equal(given.col_masses, cols)
    assert not balance.is_square(problem(3, 3, row_marginals=np.ones((2, 3))))


def test_dustbins_have_the_mass_of_the_other_side():
    dustbins = problem(2, 3, unmatched_score=0.5)
    masses = balance.balance(dustbins)
    assert masses.padding == ((0, 0), (0, 1), (0, 1))
    np.testing.assert_array_equal(masses.row_masses, [[1, 1, 3]] * 2)
    np.testing.assert_array_equal(masses.col_masses, [[1, 1, 1, 2]] * 2)
    assert masses.row_masses.dtype == masses.col_masses.dtype == np.float32
    assert masses.slack_logit == 0.5
    assert not balance.is_square(problem(3, 3, unmatched_score=0.5))
    free = balance.free_dustbins(dustbins)
    np.testing.assert_array_equal(free.row_masses, [[1, 1, np.nan]] * 2)
    np.testing.assert_array_equal(free.col_masses, [[1, 1, 1, np.nan]] * 2)
