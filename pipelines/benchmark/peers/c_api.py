"""Runs SavedModels as a server does: by TensorFlow's C API, without its Python API.

    python -I pipelines/benchmark/peers/c_api.py LIBRARIES < jobs

LIBRARIES is the folder of `libtensorflow_cc.so.2`, that of the package `tensorflow`.
This file imports neither that package nor this project. XLA on a processor is
disabled first, as TensorFlow Serving does unless it is started with
`--xla_cpu_compilation_enabled`.

A job is a line with a JSON object,

    {"model": version directory, "signature": name, "inputs": .npz, "outputs": .npz}

and so is its answer: {"status": 0} or {"status": code, "message": ...}. The codes are
those of `TF_Code`, the same as gRPC's.
"""

import ctypes
import json
import os
import sys
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p

import numpy as np

# `TF_DataType` by the names of NumPy.
_DTYPES = {"float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int64": 9, "bool": 10}
_NUMPY = {number: np.dtype(name) for name, number in _DTYPES.items()}


# The numbers of fields: MetaGraphDef.signature_def (a map), SignatureDef.inputs and
# .outputs, TensorInfo.name.
_SIGNATURE_DEF, _INPUTS, _OUTPUTS, _TENSOR_NAME = 5, 1, 2, 1


class Failed(Exception):
    """A call that failed, with the code and the message of its status."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class _Output(ctypes.Structure):
    _fields_ = [("operation", c_void_p), ("index", c_int)]


class _Buffer(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("length", c_size_t), ("deallocator", c_void_p)]


# The functions that are called: for each library, a name with the types of the result and
# of the arguments.
_PROTOTYPES = {
    "framework": {
        "TF_NewStatus": (c_void_p, []),
        "TF_GetCode": (c_int, [c_void_p]),
        "TF_Message": (c_char_p, [c_void_p]),
        "TF_AllocateTensor": (c_void_p, [c_int, POINTER(c_int64), c_int, c_size_t]),
        "TF_DeleteTensor": (None, [c_void_p]),
        "TF_TensorData": (c_void_p, [c_void_p]),
        "TF_TensorType": (c_int, [c_void_p]),
        "TF_NumDims": (c_int, [c_void_p]),
        "TF_Dim": (c_int64, [c_void_p, c_int]),
        "TF_NewBuffer": (POINTER(_Buffer), []),
        "TF_DeleteBuffer": (None, [POINTER(_Buffer)]),
    },
    "cc": {
        # The mangled name of `tensorflow::DisableXlaCompilation()`, which is private: C
        # has no function for it. Checked with TensorFlow 2.21.
        "_ZN10tensorflow21DisableXlaCompilationEv": (None, []),
        "TF_NewGraph": (c_void_p, []),
        "TF_DeleteGraph": (None, [c_void_p]),
        "TF_NewSessionOptions": (c_void_p, []),
        "TF_SetConfig": (None, [c_void_p, c_char_p, c_size_t, c_void_p]),
        "TF_GraphOperationByName": (c_void_p, [c_void_p, c_char_p]),
        "TF_LoadSessionFromSavedModel": (
            c_void_p,
            [c_void_p, c_void_p, c_char_p, POINTER(c_char_p), c_int, c_void_p]
            + [POINTER(_Buffer), c_void_p],
        ),
        "TF_SessionRun": (
            None,
            [c_void_p, c_void_p]
            + [POINTER(_Output), POINTER(c_void_p), c_int]
            + [POINTER(_Output), POINTER(c_void_p), c_int]
            + [c_void_p, c_int, c_void_p, c_void_p],
        ),
        "TF_CloseSession": (None, [c_void_p, c_void_p]),
        "TF_DeleteSession": (None, [c_void_p, c_void_p]),
    },
}


class Runtime:
    """TensorFlow's C API, with XLA on a processor disabled.

    Args:
        libraries: The folder of the shared libraries.
        threads: Threads within an op, and between ops; 0 lets TensorFlow choose. With 1
            the thread that asks does all the work.
    """

    def __init__(self, libraries, threads=1):
        for library, functions in _PROTOTYPES.items():
            path = os.path.join(libraries, f"libtensorflow_{library}.so.2")
            loaded = ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
            for name, (result, arguments) in functions.items():
                function = getattr(loaded, name)
                function.restype, function.argtypes = result, arguments
                setattr(self, name, function)
        self._ZN10tensorflow21DisableXlaCompilationEv()
        self.status = self.TF_NewStatus()
        self.options = self.TF_NewSessionOptions()
        # The fields 2 and 5 of ConfigProto, intra_op_parallelism_threads and inter_op_...:
        # in the second, 1 would be another thread than the one that asks, and to hand
        # over to it takes as long as fifty ops; -1 is written in ten bytes.
        minus_one = b"\xff" * 9 + b"\x01"
        between_ops = minus_one if threads == 1 else bytes([threads])
        config = bytes([2 << 3, threads, 5 << 3]) + between_ops
        self.TF_SetConfig(self.options, config, len(config), self.status)
        self.check()

    def check(self):
        """Raises Failed if the last call did not end well."""
        code = self.TF_GetCode(self.status)
        if code:
            raise Failed(code, self.TF_Message(self.status).decode(errors="replace"))

    def tensor(self, array):
        """A new TF_Tensor with a copy of an array."""
        # `ascontiguousarray` would add a dimension to an array without any.
        array = np.asarray(array, order="C")
        shape = (c_int64 * array.ndim)(*array.shape)
        kind = _DTYPES[array.dtype.name]
        tensor = self.TF_AllocateTensor(kind, shape, array.ndim, array.nbytes)
        ctypes.memmove(self.TF_TensorData(tensor), array.ctypes.data, array.nbytes)
        return tensor

    def array(self, tensor):
        """A copy of a TF_Tensor as an array; the tensor is deleted."""
        shape = [self.TF_Dim(tensor, k) for k in range(self.TF_NumDims(tensor))]
        array = np.empty(shape, _NUMPY[self.TF_TensorType(tensor)])
        ctypes.memmove(array.ctypes.data, self.TF_TensorData(tensor), array.nbytes)
        self.TF_DeleteTensor(tensor)
        return array


class Model:
    """A SavedModel that was loaded for serving.

    Args:
        runtime: A `Runtime`.
        directory: The directory of a version.

    Raises:
        Failed: If it cannot be loaded.
    """

    def __init__(self, runtime, directory):
        self._runtime = runtime
        self._session = None
        self._graph = runtime.TF_NewGraph()
        meta_graph = runtime.TF_NewBuffer()
        tags = (c_char_p * 1)(b"serve")
        session = runtime.TF_LoadSessionFromSavedModel(
            runtime.options,
            None,
            os.fsencode(directory),
            tags,
            1,
            self._graph,
            meta_graph,
            runtime.status,
        )
        runtime.check()
        self._session = session
        message = meta_graph.contents
        self.signatures = _signatures(ctypes.string_at(message.data, message.length))
        runtime.TF_DeleteBuffer(meta_graph)

    def run(self, signature, inputs, outputs=None):
        """Answers a request.

        Args:
            signature: The name of a signature.
            inputs: Dict of name to array.
            outputs: Names of the outputs to compute; None computes all.

        Returns:
            Dict of name to array.

        Raises:
            Failed: If TensorFlow refuses the request.
        """
        runtime = self._runtime
        input_names, output_names = self.signatures[signature]
        names = list(output_names) if outputs is None else outputs
        feeds = (_Output * len(inputs))(*(self._find(input_names[x]) for x in inputs))
        fetches = (_Output * len(names))(*(self._find(output_names[x]) for x in names))
        arguments = (c_void_p * len(inputs))()
        results = (c_void_p * len(names))()
        try:
            for k, array in enumerate(inputs.values()):
                arguments[k] = runtime.tensor(array)
            runtime.TF_SessionRun(
                self._session,
                None,
                feeds,
                arguments,
                len(inputs),
                fetches,
                results,
                len(names),
                None,
                0,
                None,
                runtime.status,
            )
        finally:
            for tensor in arguments:
                runtime.TF_DeleteTensor(tensor)
        runtime.check()
        return {name: runtime.array(x) for name, x in zip(names, results, strict=True)}

    def close(self):
        """Frees the memory of the model."""
        if self._session is not None:
            self._runtime.TF_CloseSession(self._session, self._runtime.status)
            self._runtime.TF_DeleteSession(self._session, self._runtime.status)
            self._session = None
        self._runtime.TF_DeleteGraph(self._graph)

    def _find(self, name):
        operation_name, _, index = name.partition(":")
        operation = self._runtime.TF_GraphOperationByName(
            self._graph, operation_name.encode()
        )
        return _Output(operation, int(index or 0))


def _signatures(meta_graph):
    """Reads the signatures of a `MetaGraphDef`, a message of bytes.

    The protocol buffers of TensorFlow cannot be used: a process with its Python package
    would not be one that a server has.

    Returns:
        Dict of a signature's name to two dicts, of its inputs and of its outputs, from
        names to the names of tensors.
    """
    signatures = {}
    for number, entry in _fields(meta_graph):
        if number == _SIGNATURE_DEF:
            name, signature = (value for _, value in _fields(entry))
            parts = {_INPUTS: {}, _OUTPUTS: {}}
            for part, value in _fields(signature):
                if part in parts:
                    key, tensor = (x for _, x in _fields(value))
                    names = [x for field, x in _fields(tensor) if field == _TENSOR_NAME]
                    if names:
                        parts[part][key.decode()] = names[0].decode()
            signatures[name.decode()] = (parts[_INPUTS], parts[_OUTPUTS])
    return signatures


def _fields(message):
    """Yields the fields of a protocol buffer, pairs of a number and bytes or an int."""
    at = 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            yield number, varint()
            continue
        size = {1: 8, 5: 4}.get(kind) or varint()
        yield number, message[at : at + size]
        at += size


def main():
    """Answers the jobs of stdin until its end."""
    # Answers go where no message of the library can reach them.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    runtime = Runtime(sys.argv[1])
    for line in sys.stdin:
        job, model = json.loads(line), None
        try:
            model = Model(runtime, job["model"])
            with np.load(job["inputs"]) as inputs:
                outputs = model.run(job["signature"], dict(inputs))
            np.savez(job["outputs"], **outputs)
            answer = {"status": 0}
        except Failed as error:
            answer = {"status": error.code, "message": str(error)}
        finally:
            if model is not None:
                model.close()
        imported = {name.partition(".")[0] for name in sys.modules}
        if imported & {"tensorflow", "keras", "sinkhorn_tf", "pipelines"}:
            answer = {"status": -1, "message": f"imported: {sorted(imported)}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
