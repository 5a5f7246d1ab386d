from ear.report.summary import summary

HEADER = "concept,method,seed,prompt_set,metric,value,ci_low,ci_high,n\n"
ROWS = """\
church,original,all,target,concept_rate,0.997,0.981,0.999,300
church,ear,0,target,concept_rate,0.5,0.4,0.6,300
church,ear,all,target,concept_rate,0.07,0.0464,0.105,300
church,original,all,retention,accuracy,1.0,0.987,1.0,300
church,ear,all,retention,accuracy,1.0,0.987,1.0,300
fire,ear,all,target,concept_rate,0.0,,,2
"""


def test_the_last_lines_of_a_run_are_a_table_and_the_reports_path(tmp_path):
    table = tmp_path / "metrics.csv"
    table.write_text(HEADER + ROWS)
    assert summary(table, "results/mini/report.html", ["church", "fire"], "ear").splitlines() == [
        "",
        "         concept rate, original → ear   retention accuracy, original → ear",
        "church   0.997 → 0.070 [0.046, 0.105]   1.000 → 1.000 [0.987, 1.000]",
        "fire     - → 0.000                      - → -",
        "",
        "results/mini/report.html",
    ]


def test_without_a_table_there_is_nothing_to_say(tmp_path):
    assert summary(tmp_path / "metrics.csv", "report.html", ["church"], "ear") == ""
