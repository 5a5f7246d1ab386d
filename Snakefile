# EAR: Erasing Concepts from Unified Autoregressive Models, reproduced end to end.
# Stages in pipeline order: see the includes. All that is made goes to results/<experiment>/.

import sys

from snakemake.utils import min_version

min_version("9.27")

# What Snakemake reads without a word, or refuses without a place: several configs, a key given twice, a tab.
sys.path.insert(0, workflow.basedir)

from ear.config.parsing import check_config_files
from ear.config.parsing import is_recipe
from ear.errors import InputError

try:
    check_config_files(workflow.overwrite_configfiles or ["config.yaml"])
except InputError as error:
    sys.exit(f"error: {error}")

# Snakemake merges config files key by key: reading the default beside another would leak the mini experiment's concepts into it.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


report: "report/workflow.rst"


include: "rules/workflow.smk"


# A recipe trains the mini world's models, which experiments find in models/.
if is_recipe(config):

    include: "rules/world.smk"

else:

    include: "rules/common.smk"
    include: "rules/files.smk"

    wildcard_constraints:
        concept="|".join(experiment.concepts),
        method="|".join(experiment.methods),
        asset="|".join(CATALOGUE),
        source="|".join(experiment.prompts.sources if experiment.prompts else []),
        seed=r"\d+",
        shard=r"\d+",

    include: "rules/models.smk"
    include: "rules/prompts.smk"
    include: "rules/images.smk"
    include: "rules/judges.smk"
    include: "rules/erasure.smk"
    include: "rules/evaluation.smk"
    include: "rules/report.smk"
    include: "rules/commands.smk"

    TARGETS = results()

    rule assets:
        input:
            [paths.asset(name) for name in experiment.used_assets],
        localrule: True
        message:
            "all assets are there"


onstart:
    check_limits()
    check_machine()


onsuccess:
    if lines := ending():
        print(lines)


onerror:
    print(failures(paths("logs"), STARTED), file=sys.stderr)


rule all:
    default_target: True
    input:
        TARGETS,
    message:
        "all results are there"
