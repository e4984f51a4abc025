"""The directory of TensorFlow Datasets (TFDS), and the download of absent datasets."""

import dataclasses
import os
import re
import shlex
import sys
import urllib.parse
import urllib.request

import tensorflow as tf
from absl import logging

from pipelines.shared import network
from pipelines.shared.datasets.sources import ROLES, DataError
from pipelines.shared.errors import first_line

_CONNECT_SECONDS = 3.0


@dataclasses.dataclass(frozen=True)
class Official:
    """The names of a dataset and its splits in TFDS, and the origin of the data.

    Attributes:
        name: The name in TFDS.
        roles: Dict of the roles to their split expressions.
        host: The server of the download; None if the data can only be downloaded by hand.
        origin: A clause that says where the data come from.
    """

    name: str
    roles: dict
    host: str | None
    origin: str


OFFICIAL = {
    "mnist": Official(
        "mnist",
        {"train": "train[:55000]", "validation": "train[55000:]", "test": "test"},
        "storage.googleapis.com",
        "it is downloaded from storage.googleapis.com",
    ),
    "celeba": Official(
        "celeb_a",
        {role: role for role in ROLES},
        "drive.google.com",
        "it is downloaded from Google Drive, drive.google.com",
    ),
    "imagenet": Official(
        "imagenet2012",
        {"train": "train", "validation": "train", "test": "validation"},
        None,
        "it can only be downloaded by hand: first put ILSVRC2012_img_train.tar and "
        "ILSVRC2012_img_val.tar from https://image-net.org/download into "
        "downloads/manual of that directory",
    ),
}


def by_name(name):
    """The `Official` of `tfds:NAME`, a dataset that has to be prepared already."""
    roles = {"train": "train[:90%]", "validation": "train[90%:]", "test": "test"}
    return Official(
        name.removeprefix("tfds:"), roles, None, "it is never downloaded here"
    )


def tfds_directory(data_dir):
    """The absolute path of `data_dir`, else of `TFDS_DATA_DIR`, else of TFDS' default."""
    data_dir = os.fspath(
        data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    )
    if "://" in data_dir:
        return data_dir
    return os.path.abspath(os.path.expanduser(data_dir))


def build_command(official, data_dir):
    """The shell command that prepares a dataset."""
    directory = shlex.quote(f"--data_dir={data_dir}")
    return f"`tfds build {official.name} {directory}`"


def newest_version(official, data_dir):
    """The directory of the newest version of a dataset, or None if there is none."""
    parent = os.path.join(data_dir, official.name)
    if not tf.io.gfile.isdir(parent):
        return None
    names = (name.rstrip("/") for name in tf.io.gfile.listdir(parent))
    # A version that is just being prepared has a suffix to its name.
    versions = [name for name in names if re.fullmatch(r"\d+\.\d+\.\d+", name)]
    if not versions:
        return None
    newest = max(versions, key=lambda name: [int(part) for part in name.split(".")])
    return os.path.join(parent, newest)


def download(official, data_dir):
    """Downloads and prepares a dataset, and returns the directory of its version.

    TFDS retries for minutes without a network, so the connection is tried first.

    Args:
        official: The `Official`.
        data_dir: The TFDS directory.

    Raises:
        DataError: If it cannot be downloaded; within seconds if there is no network.
    """
    if official.host is None:
        raise _not_prepared(official, data_dir, ": no download was tried.")
    if not reachable(official.host):
        raise _not_prepared(
            official,
            data_dir,
            ": a download was tried and given up, since no connection to "
            f"{official.host} opened within {_CONNECT_SECONDS:g} seconds.",
        )
    logging.info("Downloading and preparing %s in %s", official.name, data_dir)
    import tensorflow_datasets as tfds

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        builder = tfds.builder(official.name, data_dir=data_dir)
        builder.download_and_prepare()
    # Network, quota, checksums, disk: each raises exceptions of its own.
    except Exception as error:
        reason = first_line(f"{type(error).__name__}: {error}")
        raise _not_prepared(
            official, data_dir, f"; a download was tried and failed ({reason}):"
        ) from error
    return os.fspath(builder.data_dir)


def reachable(host):
    """Whether a connection to `host` (or to the proxy for it) opens within seconds."""
    address = (host, 443)
    proxy = urllib.request.getproxies().get("https")
    if proxy and not urllib.request.proxy_bypass(host):
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        address = (parts.hostname, parts.port or 80)
    return network.is_reachable(*address, _CONNECT_SECONDS)


def _not_prepared(official, data_dir, why):
    """The error about a dataset that is absent.

    Args:
        official: The `Official`.
        data_dir: The TFDS directory.
        why: A clause about the attempt to download it, with the punctuation around it.
    """
    how = "prepare" if why.endswith(":") else "Prepare"
    return DataError(
        f"No prepared dataset {official.name} in {data_dir}{why} {how} it with "
        f"{build_command(official, data_dir)} ({official.origin}), or name the "
        "directory that has it by --data_dir or TFDS_DATA_DIR."
    )
