# %% [markdown]
# # Serving
#
# {py:func}`sinkhorn_tf.export_solver` writes a network as a SavedModel that answers with hard
# permutations. The SavedModel needs neither this package nor Keras, and it is made for
# stock TensorFlow Serving on a CPU.

# %%
import pathlib
import subprocess
import sys
import tempfile

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

import sinkhorn_tf as st

keras.utils.set_random_seed(0)
folder = pathlib.Path(tempfile.mkdtemp())

# %% [markdown]
# ## Export a network
#
# A network that learns to sort five numbers ends at its {term}`logits`, `[batch, item, position]`. The
# training adds the {term}`soft permutation`; the export takes the model up to the logits.

# %%
numbers = keras.Input((5, 1), name="numbers")
x = keras.layers.Dense(32, activation="relu")(numbers)
logits = keras.layers.Dense(5)(x)
plan = st.SinkhornLayer(temperature=0.1)(logits)
trained = keras.Model(numbers, st.Restore()([plan, numbers]))

examples = keras.random.uniform((4096, 5, 1), seed=0)
trained.compile(keras.optimizers.Adam(0.01), loss="mse")
trained.fit(
    examples, keras.ops.sort(examples, axis=1), batch_size=128, epochs=20, verbose=0
)

model = keras.Model(numbers, logits)
path = st.export_solver(model, folder / "sorter", temperature=0.1)
print(pathlib.Path(path).relative_to(folder))

# %% [markdown]
# The inputs of `serving_default` have the names of their {py:func}`keras.Input`:

# %%
solver = tf.saved_model.load(path)
answer = solver.signatures["serving_default"](numbers=examples[:200])
for name, tensor in sorted(answer.items()):
    print(f"{name:12} {tensor.dtype.name:8} {tensor.shape}")
print("restored:", answer["restored"][0, :, 0].numpy().round(2))

# %% [markdown]
# ## What an answer holds
#
# | output | type and shape | meaning |
# | --- | --- | --- |
# | `permutation` | int32 `[B, N]` | the position of each item, -1 where there is none |
# | `plan` | `[B, N, M]` | the soft permutation at the temperature of the export |
# | `value` | float64 `[B]` | the sum of the logits that were matched |
# | `gap` | float64 `[B]` | how far at most `value` is from the best one; 0: proven to be the best |
# | `restored` | `[B, M, ...]` | the items in their places; only of a signature with items |
#
# Floats are served as float32, whatever the precision of the network; `value`, `gap` and inputs
# that are float64 stay so.
#
# A network that has a plan of its own ends at `[logits, plan]` or at
# `{"logits": logits, "plan": plan}`. Lookup tables and other variables of the network are
# saved with it.
#
# ## Signatures
#
# | signature | inputs |
# | --- | --- |
# | `serving_default` | those of the model |
# | `match` | `logits` `[B, N, M]`, your own scores |
# | `match_at_temperature` | `logits`, and `temperature` `[B]`, one for each example |
# | `match_masked` | `logits`, `row_mask` `[B, N]`, `col_mask` `[B, M]`: what exists |
#
# The argument `signatures` of the export adds others.

# %%
scores = tf.constant(
    [[[2.0, 1, 0, 0, 0], [0, 0, 3, 1, 0], [1, 2, 0, 0, 0], [0, 1, 0, 2, 0], [0] * 5]]
)
matched = solver.match(scores)
print(matched["permutation"].numpy(), matched["value"].numpy(), matched["gap"].numpy())

# %%
two = tf.repeat(scores, 2, axis=0)
soft_and_hard = solver.match_at_temperature(two, tf.constant([1.0, 0.05]))
print(soft_and_hard["plan"].numpy()[:, 0].round(2))

# %% [markdown]
# Here the first item and the last position do not exist. What the logits
# hold there does not matter:

# %%
rows = tf.constant([[False, True, True, True, True]])
cols = tf.constant([[True, True, True, True, False]])
masked = solver.match_masked(scores, rows, cols)
print(masked["permutation"].numpy(), masked["value"].numpy())

# %% [markdown]
# ## Sets of any size
#
# N and M vary from request to request if they do in the model. Within a batch, sets of different sizes are
# padded: inputs of the model named `row_mask`, bool `[B, N]`, and `col_mask`, bool `[B, M]`,
# tell what exists. Without a `row_mask` the mask of Keras holds, as `Embedding(mask_zero=True)` makes it.
#
# This model has no weights. It matches points with places by their inner products:

# %%
points = keras.Input((None, 2), name="points")
places = keras.Input((None, 2), name="places")
row_mask = keras.Input((None,), dtype="bool", name="row_mask")
col_mask = keras.Input((None,), dtype="bool", name="col_mask")
products = keras.layers.Dot(axes=2)([points, places])
pairing = keras.Model([points, places, row_mask, col_mask], products)
pair = tf.saved_model.load(st.export_solver(pairing, folder / "pairing"))
ask = pair.signatures["serving_default"]

circle = tf.constant([[[0.0, 1], [1, 0], [0, -1], [-1, 0]]])
three_of_four = ask(
    points=tf.reverse(circle, [1])[:, :3],
    places=circle,
    row_mask=tf.ones([1, 3], tf.bool),
    col_mask=tf.ones([1, 4], tf.bool),
)
padded = ask(
    points=tf.repeat(circle, 2, axis=0),
    places=tf.repeat(circle, 2, axis=0),
    row_mask=tf.sequence_mask([2, 4], 4),
    col_mask=tf.sequence_mask([2, 4], 4),
)
print(three_of_four["permutation"].numpy(), "three points, four places")
print(padded["permutation"].numpy(), "two of four, and four of four")

# %% [markdown]
# ## Invalid examples
#
# An example that has no answer gets a permutation of -1 and NaN for its numbers: one with NaN or +inf, or one
# for which `-inf` leaves no permutation. The other examples of the batch get the same bits as
# without it.

# %%
poisoned = examples[:4].numpy()
poisoned[2, 0, 0] = np.nan
beside = solver.signatures["serving_default"](numbers=poisoned)
alone = solver.signatures["serving_default"](numbers=examples[:4])
print(beside["permutation"].numpy())
print(beside["value"].numpy().round(2))

# %% [markdown]
# ## Without this package
#
# The answer below comes from a process in which Keras and this package cannot be imported. It is the same
# bit for bit.

# %%
np.save(folder / "numbers.npy", examples[:200])
program = """
import sys
sys.modules |= {"keras": None, "sinkhorn_tf": None}  # an import of these raises
import numpy as np
import tensorflow as tf
folder, path = sys.argv[1:]
solver = tf.saved_model.load(path)
answer = solver.signatures["serving_default"](
    numbers=tf.constant(np.load(folder + "/numbers.npy")))
np.savez(folder + "/answer.npz", **{k: v.numpy() for k, v in answer.items()})
print(sys.modules["keras"], sys.modules["sinkhorn_tf"])
"""
other = subprocess.run(
    [sys.executable, "-c", program, str(folder), path],
    capture_output=True,
    text=True,
    check=True,
)
print("The modules of Keras and sinkhorn_tf:", other.stdout.strip())
with np.load(folder / "answer.npz") as arrays:
    elsewhere = dict(arrays)
for name, tensor in answer.items():
    np.testing.assert_array_equal(elsewhere[name], tensor)

# %% [markdown]
# ## A model of this repository
#
# `savedmodels/` has models in the layout of TensorFlow Serving:
#
# | model | signatures beside `match` and its variants |
# | --- | --- |
# | `jigsaw_digits`, `jigsaw_mnist_3x3` | `serving_default(pieces)`, `solve_image(image)` |
# | `sorting_n120` | `serving_default(values)`, lists of 120 numbers |
# | `assembly_mnist` | `serving_default(pieces, digit)`, a digit made of another digit's pieces |
#
# `solve_image` takes images `[B, height, width, 1]`, float32 from 0 to 1, whose pieces are
# scrambled, in any batch size:

# %%
start = pathlib.Path(globals().get("__file__", "notebook")).resolve()
repository = next(p for p in start.parents if (p / "savedmodels").is_dir())
jigsaw = tf.saved_model.load(str(repository / "savedmodels" / "jigsaw_digits" / "1"))

image = load_digits().images[9] / 16  # a test image, new to the solver
top, bottom = np.vsplit(image, 2)
pieces = [*np.hsplit(top, 2), *np.hsplit(bottom, 2)]
scrambled = np.block([[pieces[2], pieces[0]], [pieces[3], pieces[1]]])
solved = jigsaw.solve_image(tf.constant(scrambled[None, :, :, None], tf.float32))
restored = solved["restored"].numpy()[0, :, :, 0]
print("permutation", solved["permutation"].numpy()[0], "gap", solved["gap"].numpy()[0])

figure, panels = plt.subplots(1, 3)
for axes, picture, title in zip(
    panels,
    (scrambled, restored, image),
    ("scrambled", "restored", "original"),
    strict=True,
):
    axes.imshow(picture)
    axes.set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# *A digit of scikit-learn in four pieces, put back by the SavedModel.*
#
# ## Versions
#
# The export writes the next version by default, whole or not at all: it writes under
# another name, checks the model, and renames the folder. It never overwrites a version.

# %%
second = st.export_solver(model, folder / "sorter", temperature=0.1)
print(pathlib.Path(second).relative_to(folder))
try:
    st.export_solver(model, folder / "sorter", version=1)
except FileExistsError as error:
    message = str(error)
    print("FileExistsError:", message.replace(str(folder), "..."))

# %% [markdown]
# The server takes up a new number in the folder by itself and drops the old one. To go back,
# remove the folder of the newest version.
#
# `jit_variant=True` also writes `<path>_xla`, the same version compiled by XLA, for servers on a GPU or
# with `--xla_cpu_compilation_enabled`. Other servers refuse requests to it.
#
# ## Models that are refused
#
# The export refuses models that stock TensorFlow Serving can't run on a CPU: those with
# functions of `jit_compile=True`, with Python functions, or with ops that are not TensorFlow's own.
# Nothing is left behind then.

# %%


class InPython(keras.layers.Layer):
    """Doubles its input in Python, which no server can do."""

    def call(self, inputs):
        doubled = tf.numpy_function(lambda a: 2 * a, [inputs], tf.float32)
        return tf.ensure_shape(doubled, inputs.shape)

    def compute_output_shape(self, input_shape):
        return input_shape


unservable = keras.Model(numbers, InPython()(logits))
try:
    st.export_solver(unservable, folder / "unservable")
    refused = False
except ValueError as error:
    refused = True
    print("ValueError:", str(error).split(". ")[0])

# %% [markdown]
# ## Run a server
#
# From the root of a clone:
#
# ```sh
# docker run -p 8500:8500 -p 8501:8501 \
#   -v "$PWD/savedmodels/jigsaw_digits:/models/jigsaw_digits" \
#   -e MODEL_NAME=jigsaw_digits tensorflow/serving
# curl -d '{"signature_name": "match", "inputs": {"logits":
#   [[[2, 1, 0, 0], [0, 0, 3, 1], [1, 2, 0, 0], [0, 1, 0, 2]]]}}' \
#   localhost:8501/v1/models/jigsaw_digits:predict
# ```
#
# ```json
# {"outputs": {"gap": [0.0], "permutation": [[0, 2, 1, 3]], "value": [9.0],
#   "plan": [[[0.630, 0.200, 0.074, 0.096], [0.045, 0.039, 0.779, 0.137],
#             [0.245, 0.575, 0.078, 0.102], [0.080, 0.187, 0.069, 0.665]]]}}
# ```
#
# The same request in this process:

# %%
request = tf.constant([[[2.0, 1, 0, 0], [0, 0, 3, 1], [1, 2, 0, 0], [0, 1, 0, 2]]])
response = jigsaw.match(request)
print(response["permutation"].numpy(), response["value"].numpy())
print(response["plan"].numpy().round(3))

# %% [markdown]
# The server computes only the outputs that are asked for (`output_filter`, over gRPC). At 64
# puzzles of 3x3 the permutation alone takes a quarter of the time of the whole answer
# ({doc}`/results/serving`).
#
# **Batching.** `--enable_batching --batching_parameters_file=batching.txt` pads requests
# to a few sizes, so that memory is planned for these only:
#
# ```
# max_batch_size { value: 64 }
# batch_timeout_micros { value: 1000 }
# allowed_batch_sizes: 1
# allowed_batch_sizes: 8
# allowed_batch_sizes: 64
# ```
#
# **Warm-up.** `export_solver(..., warmup_examples=items)` writes requests that the server
# answers before it takes others. They need `pip install -e '.[serving]'`. Each is answered at the export
# first, since one that fails would keep the server from loading the model. For a model of several
# inputs give a dict of signatures to their inputs.
#
# **Trust.** A request of a few bytes may claim a tensor of gigabytes, and TensorFlow's parser takes the
# memory before any model is asked. Let only those you trust send requests.
#
# ## The client
#
# The same program solves images here or at a server:
#
# ```sh
# python -m pipelines.solve --model=savedmodels/jigsaw_digits --image=docs/digit.png --scramble --out=solved.png
# python -m pipelines.solve --model=jigsaw_digits --server=localhost:8501 --image=docs/digit.png --scramble --out=solved.png
# ```
#
# - `--image` and `--out` may be folders; `--help` tells how results are named.
# - JPEG, PNG, BMP, GIF, WebP and TIFF are read as a viewer shows them: turned as EXIF says,
#   transparent areas white. The option `--dataset=folder` of the trainings reads them in the same way.
# - `--protocol=grpc` is for port 8500; it needs the extra `serving`.
# - The client asks again, with growing pauses, only while the server is unavailable. `--timeout` and
#   `--retries` set how long.
#
# ## What was not run
#
# The server itself was not run. Instead every saved model answers through TensorFlow's C
# API, in a process that imports neither Python's TensorFlow nor this project and has XLA on the processor
# disabled as the server has (`pipelines/benchmark/peers/c_api.py`). Client and
# encodings are tested against a stand-in on loopback made of the official stubs, which also gave the
# JSON answer above. The docker and batching lines are from the server's documentation.
#
# The assertions below fail the build of this page if one of its claims is wrong.

# %%
is_sorted = np.all(np.diff(answer["restored"][..., 0]) >= 0, axis=1)
assert is_sorted.mean() > 0.9
assert np.max(answer["gap"]) < 1e-4
assert matched["value"][0] == 9 and matched["gap"][0] == 0
assert masked["permutation"].numpy().tolist() == [[-1, 2, 1, 3, 0]]
assert three_of_four["permutation"].numpy().tolist() == [[3, 2, 1]]
assert padded["permutation"].numpy().tolist() == [[0, 1, -1, -1], [0, 1, 2, 3]]
assert np.all(beside["permutation"][2] == -1) and np.isnan(beside["value"][2])
for name, tensor in alone.items():
    for example in (0, 1, 3):
        np.testing.assert_array_equal(beside[name][example], tensor[example])
assert other.stdout.strip() == "None None"
np.testing.assert_allclose(restored, image, atol=1e-6)
assert pathlib.Path(second).name == "2" and refused
assert not (folder / "unservable" / "1").exists()
assert response["permutation"].numpy().tolist() == [[0, 2, 1, 3]]
np.testing.assert_allclose(
    response["plan"][0, 0], [0.630, 0.200, 0.074, 0.096], atol=6e-4
)
