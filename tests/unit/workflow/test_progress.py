import logging

from ear.workflow import progress as module
from ear.workflow.progress import progress


def test_items_pass_unchanged_and_the_log_gets_one_closing_line(caplog, capsys):
    with caplog.at_level(logging.INFO):
        items = list(progress(iter("abc"), desc="rendering church/ear/seed0", unit="image", total=3))
    assert items == ["a", "b", "c"]
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("rendering church/ear/seed0: 3 image in ")
    assert capsys.readouterr().err == "", "a short loop shows no bar"


def test_a_long_loop_in_a_file_is_lines_with_rate_and_remaining_time(monkeypatch, capsys):
    monkeypatch.setattr(module, "DELAY_S", 0)
    monkeypatch.setattr(module, "FILE_INTERVAL_S", 0)
    list(progress(range(3), desc="training", unit="step"))
    lines = capsys.readouterr().err.split("\n")
    assert "\r" not in "".join(lines)
    assert any(line.startswith("training:") and "2/3" in line and "step/s" in line for line in lines)
