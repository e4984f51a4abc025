"""The list of all rows."""

from pipelines.report import listing
from tests.pipelines.report.metrics import sorting_metrics


def test_every_row_has_its_command_config_and_record(configs, tmp_path):
    (configs / "ablation").mkdir()
    (configs / "ablation" / "sorting_n5_noise.cfg").write_text("# Noise.\n--n=5\n")
    (configs / "sorting_n10.cfg").write_text("# Ten.\n# Not five.\n--n=10\n")
    known = {
        "ablation/sorting_n5_noise": [sorting_metrics(2)],
        "sorting_n10": [sorting_metrics(0), sorting_metrics(1)],
        "sorting_n5": [],
    }
    text = listing.page(str(configs), known, str(tmp_path))
    # Five comes before ten, and changes of one setting come last.
    _, five, ten, noise = text.split("\n### ")
    assert five == (
        "`sorting_n5`\n\n```sh\n# Five numbers.\n"
        "python -m pipelines.sorting --flagfile=configs/sorting_n5.cfg\n```\n\n"
        "[sorting_n5.cfg](configs/sorting_n5.cfg).\n"
    )
    assert ten == (
        "`sorting_n10`\n\n```sh\n# Ten.\n# Not five.\n"
        "python -m pipelines.sorting --flagfile=configs/sorting_n10.cfg\n```\n\n"
        "[sorting_n10.cfg](configs/sorting_n10.cfg); "
        "[sorting_n10.json](configs/sorting_n10.json); "
        "2 seeds, 1.5 minutes each, processor: not recorded.\n"
    )
    assert noise.startswith("`ablation/sorting_n5_noise`\n\n```sh\n# Noise.\n")
    assert "--flagfile=configs/ablation/sorting_n5_noise.cfg\n" in noise
    assert "(configs/ablation/sorting_n5_noise.json); seed 2, 1.5 minutes, " in noise


def test_a_link_leads_to_the_heading_of_its_row():
    # Anchors of headings have no slashes.
    row = "ablation/sorting_n5_noise"
    assert listing.link(row) == f"[`{row}`](records.md#ablationsorting_n5_noise)"
