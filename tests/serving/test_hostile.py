"""Malformed and hostile requests: an error or an answer of -1, nothing worse.

`python -m pytest -m slow tests/serving/test_hostile.py` sends 100,000 of them.
"""

import contextlib
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st

grpc = pytest.importorskip("grpc", reason="needs tensorflow-serving-api")
predict_pb2 = pytest.importorskip(
    "tensorflow_serving.apis.predict_pb2", reason="needs tensorflow-serving-api"
)

METHOD = "/tensorflow.serving.PredictionService/Predict"
MODEL = "jigsaw_digits"
# The inputs of each signature, without the batch.
INPUTS = {
    "serving_default": {"pieces": (4, 4, 4, 1)},
    "solve_image": {"image": (8, 8, 1)},
    "match": {"logits": (4, 4)},
    "match_at_temperature": {"logits": (4, 4), "temperature": ()},
}
DTYPES = [np.float32] * 6 + [np.float64, np.int32, np.int8, np.complex64, np.bool_, str]
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 3e38, -3e38, 1e-45, 1e300, 1.0]
# No request takes longer.
SECONDS = 20


def random_array(rng, shape):
    kind = rng.integers(8)
    if kind == 0:  # another rank
        shape = tuple(rng.integers(0, 5, size=rng.integers(0, 7)))
    elif kind == 1 and shape:  # another size
        shape = list(shape)
        shape[rng.integers(len(shape))] = rng.integers(0, 12)
    elif kind == 2:
        shape = (0, *shape[1:])
    elif kind == 3 and rng.random() < 0.05:
        shape = (int(rng.integers(1000, 5000)), *shape[1:])
    with np.errstate(all="ignore"):
        x = rng.normal(size=shape)
        if rng.random() < 0.5:
            x = np.where(rng.random(x.shape) < 0.3, rng.choice(SPECIAL, x.shape), x)
        if rng.random() < 0.2:
            x = np.round(x)
        dtype = DTYPES[rng.integers(len(DTYPES))]
        return x.astype(np.float32 if rng.random() < 0.5 else dtype)


def random_request(rng):
    """A serialised request."""
    signature = rng.choice(list(INPUTS))
    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL if rng.random() < 0.97 else "\0\n"
    request.model_spec.signature_name = signature if rng.random() < 0.97 else "x" * 999
    batch = int(rng.integers(1, 6))
    for name, shape in INPUTS[signature].items():
        if rng.random() < 0.02:
            name += "?"
        array = random_array(rng, (batch, *shape))
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
        if rng.random() < 0.1:
            break_tensor(rng, request.inputs[name])
    data = request.SerializeToString()
    kind = rng.integers(12)
    if kind == 0:
        data = data[: rng.integers(len(data) + 1)]
    elif kind == 1:
        data = bytearray(data)
        for _ in range(rng.integers(1, 9)):
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        data = bytes(data)
    elif kind == 2 and rng.random() < 0.2:
        data = rng.bytes(rng.integers(0, 2000))
    return data


def break_tensor(rng, tensor):
    """Makes shape, dtype and content contradict one another."""
    kind = rng.integers(5)
    if kind == 0:
        tensor.dtype = int(rng.integers(0, 140))
    elif kind == 1 and tensor.tensor_shape.dim:
        size = rng.choice([-1, -(2**62), 2**62, 2**31, 7])
        tensor.tensor_shape.dim[0].size = int(size)
    elif kind == 2:
        tensor.tensor_shape.dim.add().size = int(rng.choice([-5, 0, 2**40]))
    elif kind == 3:
        tensor.tensor_content = tensor.tensor_content[:-3]
    else:
        tensor.tensor_shape.unknown_rank = True


def check_answer(answer):
    """The laws of every answer: a permutation with a gap, or -1 with NaN."""
    if "permutation" not in answer.outputs:
        return
    perm = tf.make_ndarray(answer.outputs["permutation"])
    gap = tf.make_ndarray(answer.outputs["gap"])
    for p, g in zip(perm, gap, strict=True):
        if (p == -1).all():
            assert math.isnan(g)
        else:
            assert sorted(p) == list(range(len(p))) and g >= 0


def resident(process):
    """The bytes in memory of a process."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["VmRSS"].split()[0]) * 1024


def send_hostile(loopback, count, seed):
    """Sends them; the number of answers, of errors, and the memory at four times."""
    rng = np.random.default_rng(seed)
    process, memory = loopback["process"], []
    answered = failed = 0
    size = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"localhost:{loopback['grpc']}", size) as channel:
        call = channel.unary_unary(METHOD)
        for number in range(count):
            if number % (count // 4) == 0:
                memory.append(resident(process))
            try:
                data = call(random_request(rng), timeout=SECONDS)
            except grpc.RpcError as error:
                failed += 1
                # Neither gone nor hanging, and its errors are the request's.
                assert error.code().name in (
                    "INVALID_ARGUMENT",
                    "NOT_FOUND",
                    "INTERNAL",
                    "UNIMPLEMENTED",
                    "UNKNOWN",
                ), error
                assert process.poll() is None
            else:
                answered += 1
                check_answer(predict_pb2.PredictResponse.FromString(data))
        memory.append(resident(process))
        # It still answers what is right.
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = MODEL, "match"
        logits = np.eye(4, dtype=np.float32)[None, ::-1]
        request.inputs["logits"].CopyFrom(tf.make_tensor_proto(logits))
        answer = predict_pb2.PredictResponse.FromString(
            call(request.SerializeToString(), timeout=SECONDS)
        )
        perm = tf.make_ndarray(answer.outputs["permutation"])
        assert perm.tolist() == [[3, 2, 1, 0]]
    return answered, failed, memory


def send_to_operators(count, seed):
    """The same kind of values, straight to the functions. Few shapes: each is traced."""
    rng = np.random.default_rng(seed)
    shapes = itertools.cycle([(2, 4, 4), (4, 4), (2, 3, 4), (0, 4, 4), (3,), (2, 1, 1)])
    functions = (st.matching, st.certified_matching, st.sinkhorn)
    for shape, _ in zip(shapes, range(count), strict=False):
        x = rng.normal(size=shape)
        x = np.where(rng.random(x.shape) < 0.3, rng.choice(SPECIAL, x.shape), x)
        with np.errstate(all="ignore"):
            x = x.astype(rng.choice([np.float32, np.float64, np.int32, np.complex64]))
        for function in functions:
            with contextlib.suppress(TypeError, ValueError):
                result = function(tf.constant(x), jit_compile=False)
                if function is st.matching:
                    for p in result.numpy().reshape([-1, shape[-1]]):
                        assert (p == -1).all() or sorted(p) == list(range(len(p)))


def check(loopback, count, seed):
    answered, failed, memory = send_hostile(loopback, count, seed)
    print(f"\n{answered} answers, {failed} errors, MiB {[m >> 20 for m in memory]}")
    assert answered > count / 10 and failed > count / 10
    # A large batch leaves memory that is used again; a leak adds to each half.
    assert memory[-1] - memory[2] < 32 * 2**20, memory
    send_to_operators(count // 20, seed)


def test_hostile_requests(steady_loopback):
    check(steady_loopback, 2000, 0)


@pytest.mark.slow
def test_many_hostile_requests(steady_loopback):
    check(steady_loopback, 100_000, 1)
