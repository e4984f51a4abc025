"""Short runs of jigsaw, and their scores."""

import json
import os
import subprocess
import sys

from pipelines.jigsaw.__main__ import main
from pipelines.jigsaw.config import JigsawConfig
from tests.pipelines.processes import ROOT
from tests.pipelines.programs import run_with

QUICK = {
    "network": "paper",
    "steps": 30,
    "validate_every": 20,
    "checkpoint_every": 10,
    "filters": 4,
    "batch_size": 8,
}


def run(workdir, **flags):
    run_with(main, JigsawConfig(), workdir=str(workdir), **(QUICK | flags))


def command(*flags):
    return [sys.executable, "-m", "pipelines.jigsaw", *flags]


def process(*flags, **options):
    return subprocess.run(
        command(*flags),
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        **options,
    )


def scores(workdir, name="metrics.json"):
    with open(os.path.join(workdir, name), encoding="utf-8") as file:
        metrics = json.load(file)
    return {k: v for k, v in metrics.items() if k not in ("seconds", "flags")}
