"""The one place that spells a path under results/. Paths may hold Snakemake wildcards ("{concept}")."""

from collections.abc import Callable


def _of_concept(path: str) -> Callable[["Paths", str], str]:
    return lambda self, concept: self(path.format(concept=concept))


class Paths:
    """Paths of one experiment, below ``results/<experiment>``.

    A folder that appears whole is named by one of its files: a config, a record, a card.
    """

    def __init__(self, experiment: str) -> None:
        self.root = f"results/{experiment}"
        # Training of the mini world's models.
        self.world = self("world/captions.csv")  # the drawn training set
        self.vq = self("backbone/vq/vq.safetensors")
        self.backbone = self("backbone/model/config.json")
        self.liquid = self("liquid/model/config.json")
        self.classifier = self("judges/classifier/config.json")
        self.clip = self("judges/clip/open_clip_config.json")
        self.model_hashes = self("models/assets.yaml")  # what assets.yaml has to say of these models

        self.canary = self("models/canary.json")  # first tokens drawn, beside those known to be
        self.general_prompts = self("prompts/general.csv")  # without any concept, the same for all
        self.reference = self("prompts/reference/manifest.csv")  # pictures that FID and KID compare with
        self.reference_features = self("prompts/reference/features.npy")
        self.captioned = self("prompts/captions/manifest.csv")  # held-out pictures to be captioned
        self.plan = self("plan.json")
        self.provenance = self("provenance.json")  # config, code, devices and jobs behind each result
        self.archive = self(f"ear-repro-{experiment}.tar.gz")
        self.report = self("report.html")
        self.report_files = self("report")  # pictures beside the page: too many for it, or unblurred

    def __call__(self, path: str) -> str:
        """A path below the experiment's folder."""
        return f"{self.root}/{path}"

    candidates = _of_concept("prompts/{concept}/candidates.csv")  # pairs before the visual filter
    rejected = _of_concept("prompts/{concept}/rejected.csv")  # pairs that are no candidates, and why
    evaluation_prompts = _of_concept("prompts/{concept}/evaluation.csv")  # target, retention, general
    pair_manifest = _of_concept("images/{concept}/pairs/manifest.csv")  # both sides, by the original
    pair_tokens = _of_concept("images/{concept}/pairs/tokens.safetensors")
    target_manifest = _of_concept("images/{concept}/targets/manifest.csv")  # by the original
    target_tokens = _of_concept("images/{concept}/targets/tokens.safetensors")
    pair_verdicts = _of_concept("judges/{concept}/verdicts.csv")
    pairs = _of_concept("judges/{concept}/pairs.csv")  # pairs that passed the visual filter
    dropped = _of_concept("judges/{concept}/dropped.csv")  # pairs that did not, and why
    dataset = _of_concept("dataset/{concept}/README.md")

    def model(self, name: str) -> str:
        """Card of a trained model of the mini world."""
        return self(f"models/{name}/README.md")

    def asset(self, name: str) -> str:
        """Record of an asset, in a folder with links to what it holds."""
        return self(f"models/{name}/asset.json")

    def source(self, concept: str, source: str, file: str) -> str:
        """A file of what a source made for a concept: pairs.csv, rejected.csv or usage.csv."""
        return self(f"prompts/{concept}/sources/{source}/{file}")

    def general(self, shard: str | int, file: str) -> str:
        """A file of the original model's images of the general prompts, which serve all concepts."""
        return self(f"images/general/shard{shard}/{file}")

    def training_pairs(self, concept: str, drop: bool) -> str:
        """Pairs that are trained on: those that passed, or where none is dropped all candidates.

        These do not wait for the filter, and no change of the judge trains again.
        """
        return self.pairs(concept) if drop else self.candidates(concept)

    def calibration(self, concept: str, which: str) -> str:
        """Calibration of a zero-shot judge of a concept: its "judge" or its "second_judge"."""
        return self(f"judges/{concept}/{which}.json")

    def sequences(self, concept: str, seed: str | int, context: str, encoding: str) -> str:
        """Token sequences of the frozen model."""
        return self(f"erasure/{concept}/sequences/seed{seed}/{context}-{encoding}.safetensors")

    def run(self, stage: str, concept: str, method: str, seed: str | int, file: str) -> str:
        """A file of one (concept, method, seed) in a stage, as erasure, images or evaluation."""
        return self(f"{stage}/{concept}/{method}/seed{seed}/{file}")

    def export(self, concept: str, method: str, seed: str | int) -> str:
        """Model card of an erased model."""
        return self.run("export", concept, method, seed, "README.md")

    def table(self, name: str) -> str:
        """A table of the results."""
        return self(f"tables/{name}")

    def figure(self, name: str, suffix: str = "png") -> str:
        """A figure of the results."""
        return self(f"figures/{name}.{suffix}")
