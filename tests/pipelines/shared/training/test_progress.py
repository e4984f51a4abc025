from pipelines.shared.training import progress


def test_a_line_names_the_step_of_what_is_older(capsys):
    with progress.Bar(0, 250) as bar:
        bar.show(200, loss=0.125, validation=0.5)
        bar.show(250, loss=0.0625)
    assert capsys.readouterr().err == (
        "step 250/250  loss 0.0625  validation 0.5000 (at step 200)\n"
    )
    with progress.Bar(0, 9) as bar:
        bar.show(9, loss=0.125, validation=0.5)
    assert capsys.readouterr().err == "step 9/9  loss 0.1250  validation 0.5000\n"
