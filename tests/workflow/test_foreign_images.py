"""Images that were made elsewhere beside the smoke experiment's: copies of a method's own get its verdicts."""

import shutil

import numpy as np
import pandas as pd

from ear.evaluation.columns import METRICS_CSV, VERDICTS_CSV
from ear.images.reading import read_manifests
from ear.prompts.tables import prompt_of
from tests.workflow.repository import config_of, dry_run, planned_counts, snakemake, write_config

TABLE = "results/smoke/tables/metrics.csv"
VERDICTS = "results/smoke/evaluation/church/{}/seed0/verdicts.csv"


def test_copies_of_a_methods_images_get_its_verdicts_and_metrics(own):
    config = config_of("smoke")
    config["methods"]["copied"] = {"variant": "images", "images": "elsewhere"}
    given = write_config(own / "foreign.yaml", config)
    lacking = dry_run(own, TABLE, *given, check=False)
    assert "elsewhere/church: found no images, wanted" in lacking

    own_images = read_manifests(
        sorted(own.glob("results/smoke/images/church/negative-prompt/seed0/*/manifest.csv"))
    )
    prompts = pd.read_csv(own / "results/smoke/prompts/church/evaluation.csv")
    own_images = own_images[prompt_of(own_images["prompt_id"]).isin(prompts["prompt_id"])]  # of no condition
    (own / "elsewhere/church").mkdir(parents=True)
    for path in own_images["file"]:
        shutil.copy(path, own / "elsewhere/church")
    assert planned_counts(own, TABLE, *given) == {"import_images": 1, "evaluate": 1, "tabulate": 1}
    snakemake(own, TABLE, "--cores", "2", *given)

    ours, theirs = (
        VERDICTS_CSV.read(own / VERDICTS.format(name)).set_index("prompt_id").sort_index()
        for name in ("negative-prompt", "copied")
    )
    assert len(theirs) == len(own_images) == 54
    pd.testing.assert_frame_equal(theirs, ours.loc[theirs.index], rtol=1e-4)
    metrics = METRICS_CSV.read(own / TABLE).drop(columns="n")
    ours, theirs = (
        metrics[metrics["method"] == name]
        .set_index(["seed", "prompt_set", "metric"])
        .drop(columns=["concept", "method"])
        for name in ("negative-prompt", "copied")
    )
    assert set(prompts["prompt_set"]) <= set(theirs.index.get_level_values("prompt_set"))
    assert {"fid", "concept_rate", "accuracy", "second_concept_rate"} <= set(
        theirs.index.get_level_values("metric")
    )
    assert np.allclose(theirs, ours.loc[theirs.index], rtol=1e-3, atol=1e-6, equal_nan=True)
