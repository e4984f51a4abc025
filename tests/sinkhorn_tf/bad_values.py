"""Values that the arguments of public functions refuse, by kinds of arguments."""

import math

import keras
import numpy as np
import tensorflow as tf

EYE = np.eye(3, dtype=np.float32)

# What no array of real numbers is made of.
NOT_NUMBERS = [
    "a",
    "1.5",
    b"a",
    2 + 1j,
    True,
    np.True_,
    None,
    {"a": 1.0},
    object(),
    [[1.0], [2.0, 3.0]],
    [None],
    ["a"],
    np.array([True]),
    np.array(["a"]),
    np.array([1 + 1j]),
    np.array([object()]),
    np.datetime64("2020-01-01"),
    tf.constant("a"),
    tf.constant([True]),
    tf.constant([1 + 1j]),
]
RAGGED = [tf.ragged.constant([[[1.0]], [[1.0, 2.0], [3.0, 4.0]]])]
UNFIT = [
    keras.KerasTensor((None, 3, 3)),
    *RAGGED,
    tf.sparse.from_dense(EYE),
    tf.data.Dataset.from_tensors(EYE),
]
SHAPELESS = [1.0, [1.0, 2.0], [], np.zeros((2, 0, 0)), np.zeros((3, 0), np.float16)]
NOT_SQUARE = [*SHAPELESS, np.zeros((2, 3)), np.zeros((4, 3, 2), np.float16)]
# None is no mask, of logits of three items and positions.
NOT_MASKS = [x for x in NOT_NUMBERS if x is not None]
NOT_MASKS += [1, 0.5, [], [1, 1, 0], [1.0, 1.0, 0.0], [None, True, True], [[True]]]
NOT_MASKS += [np.ones(3, np.float32), np.ones(4, bool), np.ones((0, 3), bool)]
BAD_SCALES = [-1, -0.5, math.nan, math.inf, -math.inf, [1.0, -1.0], np.array(math.nan)]
BAD_SCALES += [tf.constant(-1.0), tf.constant(math.nan), 10**400, -(10**400)]
BAD_SCALES += [[], np.ones((0,))]
NOT_COUNTS = [
    "3",
    1.5,
    3.0,
    True,
    np.True_,
    None,
    2j,
    [3],
    tf.constant(3),
    np.float32(3),
]

# Values that each kind of argument refuses.
BAD = {
    "logits": [*NOT_NUMBERS, *UNFIT, *SHAPELESS, np.eye(3, dtype=np.int64)],
    "any logits": [*NOT_NUMBERS, *UNFIT, *SHAPELESS],
    "mask": [*NOT_MASKS, *UNFIT],
    "axis": [*NOT_COUNTS, *UNFIT, 1, -2, 2**31],
    "direction": [None, 3, "UP", "", b"ASCENDING", *UNFIT],
    "values": [*NOT_NUMBERS, *UNFIT, 1.0, [], np.arange(3), np.zeros((2, 0))],
    "temperature": [*NOT_NUMBERS, *UNFIT, *BAD_SCALES, 0, 1e-400],
    "optional temperature": [x for x in NOT_NUMBERS if x is not None]
    + [0, -1, math.nan],
    "score": [*NOT_NUMBERS, *UNFIT, math.nan, math.inf, [1.0, math.nan], 10**400, []],
    "k": [*NOT_NUMBERS, *UNFIT, 1.5, 2.0, [1.0], -1, 4, [1, -1], 2**40, 10**30, []],
    "noise_scale": [*NOT_NUMBERS, *UNFIT, *BAD_SCALES],
    "count": [*NOT_COUNTS, *UNFIT, 0, -1, np.int64(-3), 2**31, 10**5000],
    "count from 0": [*NOT_COUNTS, *UNFIT, -1, np.int64(-3), 2**31, 10**5000],
    "optional size": [x for x in NOT_COUNTS[:-2] if x is not None]
    + [tf.constant([3]), tf.constant(0), tf.constant(3.0), 0, -1, 2**31, *UNFIT],
    "optional count": [x for x in NOT_COUNTS if x is not None] + [0, -1, 4],
    # Refused beside a cost whatever they are.
    "other count": [1.5, True, 0, -1, 2**31, 10**5000],
    "tolerance": ["a", 1j, True, [1.0], 0, -1e-3, math.nan, math.inf, 10**400, *UNFIT],
    "gradient": ["exact", None, True, 1, ["unrolled"], np.array(["unrolled"]), *UNFIT],
    "seed": [1.5, True, "a", b"ab", [1, 2, 3], [1], [1.0, 2.0], [2**40, 0], [[1, 2]]]
    + [2j, np.array([True, False]), tf.zeros([2]), tf.zeros([3], tf.int32), *UNFIT],
    "jit_compile": [1, 0, "yes", "", 1.0, [], np.int64(1), tf.constant(True), *UNFIT],
    "bool": [1, 0, "yes", None, [], 1.0],
    "lists": [*NOT_NUMBERS, *UNFIT, 1.0, 3, [], [0.0, 1.0], np.zeros(3)],
    "matrix": [*NOT_NUMBERS, *UNFIT, *SHAPELESS],
    "items": [None, object(), {"a": 1}, [[1.0], [2.0, 3.0]], *UNFIT, 1.0, [1, 2], []],
    "dtype": ["a", None, 1.5, object(), "string", tf.complex64, *UNFIT],
    "batch_shape": ["a", 1.5, None, True, [1.0], -1, (2, -3), (2, None), [[2]], 2**40]
    + [tf.TensorShape([None]), *UNFIT],
    "pair": [*NOT_NUMBERS, *UNFIT, 3, 1.0, [0.0, 1.0, 2.0], [0, 1], np.zeros((2, 3))],
    "real": [*NOT_NUMBERS, *UNFIT, math.nan, [1.0, math.nan]],
    "at least 0": [*NOT_NUMBERS, *UNFIT, math.nan, math.inf, -1, [1.0, -1.0], 10**400],
    "positive": [*NOT_NUMBERS, *UNFIT, math.nan, math.inf, 0, -1, [1.0, 0.0]],
    "positive or inf": [*NOT_NUMBERS, *UNFIT, math.nan, 0, -1, [1.0, 0.0]],
    "optional positive": [x for x in NOT_NUMBERS if x is not None] + [math.nan, 0, -1],
    "number": [*NOT_NUMBERS, *UNFIT, math.nan, math.inf, 0, -1, [1.0], [1.0, 2.0]],
    "vector": [*NOT_NUMBERS, *UNFIT, 1.0, [math.nan], [math.inf], [[1.0]], []],
    "table": [*NOT_NUMBERS, *UNFIT, 1.0, [1.0], [[math.nan, 1, 1]], np.zeros((0, 3))],
    "marginals": [x for x in NOT_NUMBERS if x is not None]
    + [*UNFIT, 1.0, [], [1.0, 1.0], [math.nan, 1.0, 1.0], [1.0, -1.0, 1.0]]
    + [[1.0, math.inf, 1.0], [10**400, 1, 1], np.ones((0, 3))],
    "masses": [*NOT_NUMBERS, *UNFIT, 1.0, [], [[1.0]], [math.nan], [math.inf], [0.0]]
    + [[-1.0, 4.0], [1.0, 1.0], [1e308, 1e308]],
    "cost": [*NOT_NUMBERS, *UNFIT, *NOT_SQUARE, [[math.nan]], [[-math.inf]]],
    "optional tolerance": ["a", 1j, True, [1.0], -1, math.nan, math.inf],
}
