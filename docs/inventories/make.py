"""Writes the inventories of the names of other libraries that pages link to.

`python docs/inventories/make.py`, after a name was added to names.txt. Sphinx resolves links
to other sites by such files (intersphinx). They are kept here so that a build needs no
network; the sites of TensorFlow and Keras offer none.

Every name of names.txt is looked up in the installed library: one that does not exist is
an error, and the object says whether it is a function, a class or another thing.
"""

import functools
import importlib
import inspect
import pathlib
import zlib

HERE = pathlib.Path(__file__).parent

# The file of names with this beginning, and the module that they are looked up in.
LIBRARIES = {
    "keras": ("keras", "keras"),
    "numpy": ("numpy", "numpy"),
    "scipy": ("scipy", "scipy"),
    "tf": ("tensorflow", "tensorflow"),
}

# The site of Keras has several names on a page, under its address of the API. The longest
# beginning of a name counts; what it does not list is on the page of its group.
KERAS_PAGES = {
    "keras": "",
    "keras.Input": "layers/core_layers/input",
    "keras.Layer": "layers/base_layer",
    "keras.Model": "models/model",
    "keras.Model.compile": "models/model_training_apis",
    "keras.Model.evaluate": "models/model_training_apis",
    "keras.Model.export": "models/model_saving_apis/export",
    "keras.Model.fit": "models/model_training_apis",
    "keras.Model.load_weights": "models/model_saving_apis/weights_saving_and_loading",
    "keras.Model.predict": "models/model_training_apis",
    "keras.Model.predict_on_batch": "models/model_training_apis",
    "keras.Model.save": "models/model_saving_apis/model_saving_and_loading",
    "keras.Model.save_weights": "models/model_saving_apis/weights_saving_and_loading",
    "keras.Model.train_on_batch": "models/model_training_apis",
    "keras.Sequential": "models/sequential",
    "keras.activations": "layers/activations",
    "keras.callbacks": "callbacks",
    "keras.callbacks.Callback": "callbacks/base_callback",
    "keras.callbacks.EarlyStopping": "callbacks/early_stopping",
    "keras.callbacks.ModelCheckpoint": "callbacks/model_checkpoint",
    "keras.config": "utils/config_utils",
    "keras.constraints": "layers/constraints",
    "keras.export": "models/model_saving_apis/export",
    "keras.initializers": "layers/initializers",
    "keras.layers": "layers",
    "keras.layers.Dense": "layers/core_layers/dense",
    "keras.layers.Embedding": "layers/core_layers/embedding",
    "keras.layers.Layer": "layers/base_layer",
    "keras.layers.Masking": "layers/core_layers/masking",
    "keras.layers.MultiHeadAttention": "layers/attention_layers/multi_head_attention",
    "keras.layers.TimeDistributed": "layers/recurrent_layers/time_distributed",
    "keras.losses": "losses",
    "keras.metrics": "metrics",
    "keras.metrics.Metric": "metrics/base_metric",
    "keras.mixed_precision": "mixed_precision/policy",
    "keras.models.load_model": "models/model_saving_apis/model_saving_and_loading",
    "keras.ops": "ops",
    "keras.ops.mean": "ops/numpy",
    "keras.ops.sort": "ops/numpy",
    "keras.optimizers": "optimizers",
    "keras.optimizers.Adam": "optimizers/adam",
    "keras.random": "random/random_ops",
    "keras.random.SeedGenerator": "random/seed_generator",
    "keras.regularizers": "layers/regularizers",
    "keras.saving": "models/model_saving_apis/serialization_utils",
    "keras.saving.load_model": "models/model_saving_apis/model_saving_and_loading",
    "keras.utils": "utils",
    "keras.utils.set_random_seed": "utils/python_utils",
}

NUMPY_PAGES = {
    "numpy.random.Generator": "random/generator",
    "numpy.random.default_rng": "random/generator",
}


def names() -> list[str]:
    """The names of names.txt, in order and each once."""
    lines = (HERE / "names.txt").read_text(encoding="utf-8").splitlines()
    return sorted({line.strip() for line in lines if line.strip()})


def to_role(name: str) -> str:
    """The kind of the thing that has the name, as Sphinx calls it.

    Raises:
        LookupError: If nothing has it.
    """
    first, *rest = name.split(".")
    parent, value = None, importlib.import_module(LIBRARIES[first][1])
    for i, part in enumerate(rest):
        if not hasattr(value, part) and inspect.ismodule(value):
            # A submodule that nothing has imported yet.
            submodule = ".".join([LIBRARIES[first][1], *rest[: i + 1]])
            try:
                importlib.import_module(submodule)
            except ModuleNotFoundError:
                pass
        if not hasattr(value, part):
            raise LookupError(f"names.txt has a name that nothing bears: {name}")
        parent, value = value, getattr(value, part)
    if inspect.ismodule(value):
        return "module"
    if inspect.isclass(value):
        return "exception" if issubclass(value, BaseException) else "class"
    if inspect.isclass(parent):
        return "method" if callable(value) else "attribute"
    return "function" if callable(value) else "data"


def to_uri(name: str, role: str) -> str:
    """The address of a name on the site of its library, from the root of the reference."""
    first, *rest = name.split(".")
    last = rest[-1] if rest else first
    if first == "tf":
        # What is no function, class or module is on the page of what holds it.
        if role in ("method", "attribute", "data"):
            return "/".join([first, *rest[:-1]]) + f"#{last}"
        return "/".join([first, *rest])
    if first == "keras":
        known = [each for each in KERAS_PAGES if f"{name}.".startswith(f"{each}.")]
        page = KERAS_PAGES[max(known, key=len)]
        # The anchors of that site have no underscores.
        anchor = f"#{last.replace('_', '').lower()}-{role}"
        return page + (anchor if page and role != "module" else "")
    if first == "scipy" and role == "module":
        return f"reference/{'.'.join(rest)}.html"
    folder = "reference/random/" if name.startswith("numpy.random.") else "reference/"
    if name in NUMPY_PAGES:
        return f"reference/{NUMPY_PAGES[name]}.html#{name}"
    return f"{folder}generated/{name}.html#{name}"


def to_line(name: str) -> str:
    """The line of a name in an inventory."""
    role = to_role(name)
    return f"{name} py:{role} 1 {to_uri(name, role)} -\n"


@functools.cache
def inventories() -> dict[str, str]:
    """The lines of each inventory, by the name of its file."""
    result = {f"{project}.inv": "" for project, _ in LIBRARIES.values()}
    for name in names():
        first = name.split(".")[0]
        if first not in LIBRARIES:
            raise LookupError(f"names.txt has a name of no known library: {name}")
        result[f"{LIBRARIES[first][0]}.inv"] += to_line(name)
    return result


def to_bytes(project: str, lines: str) -> bytes:
    """An inventory of version 2."""
    head = (
        "# Sphinx inventory version 2\n"
        f"# Project: {project}\n"
        "# Version: \n"
        "# The remainder of this file is compressed using zlib.\n"
    )
    return head.encode() + zlib.compress(lines.encode(), 9)


def to_lines(inventory: bytes) -> str:
    """What `to_bytes` compressed."""
    return zlib.decompress(inventory.split(b"\n", 4)[4]).decode()


def main() -> None:
    """Writes names.txt in order, and the inventories."""
    files = inventories()
    (HERE / "names.txt").write_text("\n".join(names()) + "\n", encoding="utf-8")
    for file, lines in files.items():
        path = HERE / file
        # Another version of zlib writes other bytes: what says the same stays.
        if not path.exists() or to_lines(path.read_bytes()) != lines:
            path.write_bytes(to_bytes(path.stem, lines))


if __name__ == "__main__":
    main()
