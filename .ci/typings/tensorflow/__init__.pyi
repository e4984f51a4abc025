# TensorFlow makes many of its names while it is imported, and the stubs that pyright has
# for it refuse what TensorFlow takes (`x[..., None]`, integers of `random.uniform`, custom
# gradients). So the check of types takes anything for TensorFlow's.
import typing

def __getattr__(name: str) -> typing.Any: ...
