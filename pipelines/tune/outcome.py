"""The outcome of a search: the best settings as a config, the trials, their picture."""

import os
import shlex

import matplotlib
from matplotlib import ticker
from matplotlib.figure import Figure

from pipelines.shared import figures, files
from pipelines.shared.errors import UserError

# The number of trials that are printed.
_SHOWN = 5


def write(trials, settings, workdir, flags, program, command):
    """Writes `trials.json`, `trials.png` and `best.cfg`, and prints the best trials.

    Args:
        trials: List of dicts that `search.Tuner.outcome` returns.
        settings: List of `space.Setting`s.
        workdir: The directory to write to.
        flags: Lines of flags that the config has beside the settings.
        program: The command that trains with the config.
        command: The command of the search.

    Raises:
        UserError: If no trial succeeded.
    """
    files.write_json(os.path.join(workdir, "trials.json"), trials)
    order = ranking(trials)
    if not order:
        reasons = [trial.get("message") or trial["status"] for trial in trials]
        raise UserError(
            f"None of the {len(trials)} trials succeeded. The last one: "
            f"{reasons[-1] if reasons else 'there is none'}"
        )
    picture = os.path.join(workdir, "trials.png")
    draw(picture, trials, settings)
    config = os.path.join(workdir, "best.cfg")
    flagfile = shlex.quote(f"--flagfile={config}")
    head = config_head(trials, settings, f"{program} {flagfile}", command)
    best = [f"--{name}={value}" for name, value in order[0]["values"].items()]
    files.write_text(config, "\n".join([*head, *flags, *best]) + "\n")
    print(table(order[:_SHOWN], trials))
    print(f"Settings: {config}\nPicture: {picture}")


def ranking(trials):
    """The trials that succeeded, best first.

    Trials with more steps come first: scores after fewer steps cannot be compared.
    """
    completed = [trial for trial in trials if trial["status"] == "COMPLETED"]
    return sorted(completed, key=lambda trial: (-trial["steps"], trial["score"]))


def config_head(trials, settings, training, command):
    """The comments at the beginning of the config."""
    best = ranking(trials)[0]
    names = ", ".join(setting.name for setting in settings)
    measured = f"validation {best['score']:.4f} after {best['steps']} steps"
    return [
        f"# From a search over {names}:",
        f"# {command}",
        f"# The best of {len(trials)} trials: {measured}.",
        f"# Command: {training}",
    ]


def table(order, trials):
    """The best trials, and how many there are, as lines of text."""
    lines = [f"{'trial':>6}{'steps':>8}{'validation':>12}  settings"]
    for trial in order:
        text = " ".join(f"{name}={value:g}" for name, value in trial["values"].items())
        lines.append(
            f"{trial['trial']:>6}{trial['steps']:>8}{trial['score']:12.4f}  {text}"
        )
    failed = sum(trial["status"] == "FAILED" for trial in trials)
    lines.append(f"{len(trials)} trials, {failed} of them failed")
    return "\n".join(lines)


def draw(path, trials, settings):
    """Draws the score over each setting, a colour for each number of steps.

    Args:
        path: PNG file to write.
        trials: List of dicts that `search.Tuner.outcome` returns, one of them of a trial
            that succeeded.
        settings: List of `space.Setting`s.
    """
    order = ranking(trials)
    columns = min(len(settings), 4)
    rows = -(-len(settings) // columns)
    size = (3.1 * columns + 0.6, 2.7 * rows + 0.6)
    with figures.style():
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
        colors = matplotlib.colormaps["cividis_r"]
        steps = sorted({trial["steps"] for trial in order})
        for axis, setting in zip(axes.flat, settings, strict=False):
            for number, count in enumerate(steps):
                rung = [trial for trial in order if trial["steps"] == count]
                axis.plot(
                    [trial["values"][setting.name] for trial in rung],
                    [trial["score"] for trial in rung],
                    "o",
                    color=colors((number + 1) / len(steps)),
                    markersize=5,
                    alpha=0.8,
                    label=f"{count} steps",
                )
            best = order[0]
            axis.plot(
                best["values"][setting.name],
                best["score"],
                "o",
                color=figures.WRONG,
                markersize=11,
                fillstyle="none",
                label="the best",
            )
            _scale(axis, setting)
            axis.set_xlabel(setting.name)
        for row in axes:
            row[0].set_ylabel("validation")
        for axis in list(axes.flat)[len(settings) :]:
            axis.axis("off")
        figure.suptitle(
            f"{len(order)} trials; smaller is better, none is of the reported data",
        )
        axes[0, 0].legend()
        figures.save_drawing(figure, path)


def _scale(axis, setting):
    """Scales an axis to the values of a setting, with ticks that can be read."""
    values = setting.choices or setting.bounds
    least, most = values[0], values[-1]
    if setting.is_logarithmic:
        axis.set_xscale("log")
        room = (most / least) ** 0.06
        axis.set_xlim(least / room, most * room)
        axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 3)))
    else:
        room = 0.06 * (most - least)
        axis.set_xlim(least - room, most + room)
    if setting.choices:
        axis.set_xticks(values)
    axis.minorticks_off()
    axis.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
