# EAR: Erasing Concepts from Unified Autoregressive Models, reproduced end to end.
# Stages in pipeline order: see the includes. All that is made goes to results/<experiment>/.

import sys

from snakemake.utils import min_version

min_version("9.27")

# What Snakemake reads without a word, or refuses without a place: several configs, a key given twice, a tab.
sys.path.insert(0, workflow.basedir)

from ear.config.files import check_config_files
from ear.errors import InputError

try:
    check_config_files(workflow.overwrite_configfiles or ["config.yaml"])
except InputError as error:
    sys.exit(f"error: {error}")

# Snakemake merges config files key by key: reading the default beside another would leak the mini experiment's concepts into it.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/machine.smk"
include: "rules/terminal.smk"


onerror:
    print(told_again(failures(paths("logs"), STARTED)), file=sys.stderr)


onsuccess:
    if lines := ending():
        print(lines)


wildcard_constraints:
    concept="|".join(experiment.concepts),
    method="|".join(experiment.methods),
    asset="|".join(CATALOGUE),
    seed=r"\d+",
    shard=r"\d+",


include: "rules/sources.smk"


# Where models and prompts come from: pretrained and published, or the mini world.
if experiment.assets:

    include: "rules/assets.smk"
    include: "rules/published.smk"

else:

    include: "rules/backbone.smk"
    include: "rules/judges.smk"
    include: "rules/prompts.smk"


include: "rules/render.smk"


if CANARY:

    include: "rules/canary.smk"


include: "rules/filter.smk"
include: "rules/erase.smk"
include: "rules/export.smk"
include: "rules/dataset.smk"
include: "rules/evaluate.smk"
include: "rules/attack.smk"
include: "rules/score-card.smk"
include: "rules/figures.smk"
include: "rules/axes-figures.smk"
include: "rules/plan.smk"
include: "rules/check.smk"
include: "rules/verify.smk"


onstart:
    check_limits()
    check_machine()


# An experiment on the mini world has none.
rule assets:
    input:
        [paths.asset(name) for name in experiment.used_assets],
    localrule: True
    message:
        "all assets are there"


rule all:
    default_target: True
    input:
        results(),
    message:
        "all results are there"
