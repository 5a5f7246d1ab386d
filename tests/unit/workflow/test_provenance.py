"""Records of jobs, and the chain of jobs behind a result."""

import json
import subprocess
from types import SimpleNamespace

import pytest
import torch

from ear.report.page import collect_provenance, provenance_sections
from ear.workflow import provenance
from ear.workflow.files import sha256_file
from ear.workflow.jobs import job
from ear.workflow.provenance import chain, code_version, device_name, read_records, trace


class Named(SimpleNamespace):
    """What Snakemake hands to scripts for wildcards and params."""

    def items(self):
        return self.__dict__.items()


def run_job(folder, rule, inputs, outputs, **params):
    """A job that writes its own name into its outputs."""
    (folder / "logs").mkdir(exist_ok=True)
    snakemake = SimpleNamespace(
        rule=rule,
        input=inputs,
        output=outputs,
        params=Named(**params),
        wildcards=Named(concept="church"),
        threads=3,
        log=[str(folder / "logs" / f"{rule}.log")],
    )
    with job(snakemake):
        for path in outputs:
            (folder / path).write_text(rule)


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_job(tmp_path, "draw", [], ["world.csv"], seed=42)
    run_job(tmp_path, "train", ["world.csv"], ["model", "log.csv"], settings={"eta": 1.0})
    run_job(tmp_path, "plot", ["model", "world.csv"], ["figure.png"])
    run_job(tmp_path, "other", ["world.csv"], ["other.png"])
    return read_records("logs")


def test_a_record_says_what_a_job_read_made_and_ran_on(records, tmp_path):
    record = records["train"]
    assert record["inputs"] == ["world.csv"]
    assert record["outputs"] == {name: sha256_file(tmp_path / name) for name in ("model", "log.csv")}
    assert record["params"] == {"settings": {"eta": 1.0}}
    assert (record["wildcards"], record["threads"]) == ({"concept": "church"}, 3)
    assert record["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert record["lock"] == sha256_file(provenance.LOCK)


def test_the_chain_of_a_result_is_all_that_it_comes_from_and_no_more(records):
    assert chain(["figure.png"], records)[0] == "plot"
    assert sorted(chain(["figure.png"], records)) == ["draw", "plot", "train"]
    assert chain(["nowhere.png"], records) == []


def test_damaged_records_are_left_out_and_failed_jobs_leave_none(records, tmp_path):
    (tmp_path / "logs/train.json").write_text('{"outputs"')
    (tmp_path / "logs/plot.json").write_text("[]")
    snakemake = SimpleNamespace(rule="fail", log=["logs/fail.log"])
    with pytest.raises(ZeroDivisionError), job(snakemake):
        1 / 0  # noqa: B018
    assert read_records("logs").keys() == {"draw", "other"}


def test_the_report_shows_what_is_behind_every_figure(records):
    records["draw"] = records["draw"] | {"code": "abc", "device": "another"}
    made = trace(["figure.png", "nowhere.png"], records)
    assert made["nowhere.png"] == {"job": None}
    assert made["figure.png"]["device"] == sorted({"another", device_name()})
    assert "abc" in made["figure.png"]["code"]
    config = {"experiment": "mini", "seed": 42, "seeds": [0, 1]}
    facts = collect_provenance(config, ["figure.png", "nowhere.png"], "logs")
    assert facts["jobs"].keys() == {"draw", "plot", "train"}
    assert json.loads(json.dumps(facts)) == facts
    shown = provenance_sections(facts)["Figures and tables"]
    assert shown["figure.png"].startswith("plot of model, world.csv; 3 jobs; sha256 ")
    assert shown["nowhere.png"] == "made before jobs wrote records"


def test_the_code_is_the_commit_and_tells_of_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert code_version() is None

    def git(*arguments):
        command = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-qm", "one")
    git("tag", "-am", "v1", "v1")
    commit = git("rev-parse", "HEAD")
    assert code_version() == commit
    (tmp_path / "file").write_text("2")
    assert code_version() == f"{commit}-dirty"
