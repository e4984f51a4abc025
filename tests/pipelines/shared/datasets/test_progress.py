from pipelines.shared import datasets
from tests.pipelines.shared.datasets.tiny_datasets import write_folder


def test_no_progress_bar_outside_a_terminal(tmp_path, capfd):
    write_folder(tmp_path)
    datasets.load("folder", "all", size=8, data_dir=tmp_path)
    datasets.load("digits", "all", size=8)
    captured = capfd.readouterr()
    assert "\r" not in captured.err + captured.out
    assert "images" not in captured.err + captured.out
