"""The one place that spells a path under results/. Paths may hold Snakemake wildcards ("{concept}")."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paths:
    """Paths of one experiment.

    Attributes:
        experiment: its name; everything it makes is below ``root``.
    """

    experiment: str

    @property
    def root(self) -> str:
        """Folder of the experiment."""
        return f"results/{self.experiment}"

    def __call__(self, path: str) -> str:
        """A path below the experiment's folder."""
        return f"{self.root}/{path}"

    @property
    def world(self) -> str:
        """The drawn training set."""
        return self("world/captions.csv")

    @property
    def vq(self) -> str:
        """Weights of the VQ tokenizer."""
        return self("backbone/vq/vq.safetensors")

    @property
    def backbone(self) -> str:
        """Config of the backbone, a transformers folder that appears whole."""
        return self("backbone/model/config.json")

    @property
    def classifier(self) -> str:
        """Config of the timm classifier's folder."""
        return self("judges/classifier/config.json")

    @property
    def clip(self) -> str:
        """Config of the open_clip model's folder."""
        return self("judges/clip/open_clip_config.json")

    def model(self, name: str) -> str:
        """Card of a trained model of the mini world, whose folder appears whole."""
        return self(f"models/{name}/README.md")

    @property
    def model_hashes(self) -> str:
        """What assets.yaml has to say of these models."""
        return self("models/assets.yaml")

    def asset(self, name: str) -> str:
        """Record of an asset, in a folder with links to what it holds."""
        return self(f"assets/{name}/asset.json")

    def candidates(self, concept: str) -> str:
        """Candidate pairs, before the visual filter."""
        return self(f"prompts/{concept}/candidates.csv")

    def evaluation_prompts(self, concept: str) -> str:
        """Target, retention and general prompts of a concept."""
        return self(f"prompts/{concept}/evaluation.csv")

    def source(self, concept: str, source: str, file: str) -> str:
        """A file of what a source made for a concept: pairs.csv, rejected.csv or usage.csv."""
        return self(f"prompts/{concept}/sources/{source}/{file}")

    def rejected(self, concept: str) -> str:
        """Pairs of all sources that are no candidates, and why."""
        return self(f"prompts/{concept}/rejected.csv")

    @property
    def canary(self) -> str:
        """First tokens that the backbone draws, beside those that it is known to draw."""
        return self("backbone/canary.json")

    @property
    def general_prompts(self) -> str:
        """Prompts without any concept, the same for all concepts."""
        return self("prompts/general.csv")

    @property
    def reference(self) -> str:
        """Pictures that FID and KID compare with: drawn ones of the general prompts, or COCO's."""
        return self("prompts/reference/manifest.csv")

    @property
    def reference_features(self) -> str:
        """Their features."""
        return self("prompts/reference/features.npy")

    @property
    def captioned(self) -> str:
        """Held-out pictures to be captioned."""
        return self("prompts/captions/manifest.csv")

    def pair_manifest(self, concept: str) -> str:
        """The original model's images of both sides of the candidate pairs."""
        return self(f"images/{concept}/pairs/manifest.csv")

    def pair_tokens(self, concept: str) -> str:
        """Their image tokens."""
        return self(f"images/{concept}/pairs/tokens.safetensors")

    def target_manifest(self, concept: str) -> str:
        """The original model's images of the target prompts."""
        return self(f"images/{concept}/targets/manifest.csv")

    def target_tokens(self, concept: str) -> str:
        """Their image tokens."""
        return self(f"images/{concept}/targets/tokens.safetensors")

    def general(self, shard: str | int, file: str) -> str:
        """A file of the original model's images of the general prompts, which serve all concepts."""
        return self(f"images/general/shard{shard}/{file}")

    def pairs(self, concept: str) -> str:
        """Pairs that passed the visual filter."""
        return self(f"ecgvf/{concept}/pairs.csv")

    def training_pairs(self, concept: str, drop: bool) -> str:
        """Pairs that are trained on: those that passed, or where none is dropped all candidates.

        These do not wait for the filter, and no change of the judge trains again.
        """
        return self.pairs(concept) if drop else self.candidates(concept)

    def calibration(self, concept: str, which: str) -> str:
        """Calibration of a zero-shot judge of a concept: its "judge" or its "second_judge"."""
        return self(f"ecgvf/{concept}/{which}.json")

    def pair_verdicts(self, concept: str) -> str:
        """Verdicts on the images of the candidate pairs."""
        return self(f"ecgvf/{concept}/verdicts.csv")

    def dropped(self, concept: str) -> str:
        """Pairs that did not, and why."""
        return self(f"ecgvf/{concept}/dropped.csv")

    def streams(self, concept: str, seed: str | int, context: str, encoding: str) -> str:
        """Token streams of the frozen model."""
        return self(f"streams/{concept}/seed{seed}/{context}-{encoding}.safetensors")

    def run(self, stage: str, concept: str, method: str, seed: str | int, file: str) -> str:
        """A file of one (concept, method, seed) in a stage: erased, images, evaluation or export."""
        return self(f"{stage}/{concept}/{method}/seed{seed}/{file}")

    def export(self, concept: str, method: str, seed: str | int) -> str:
        """Model card of an erased model, a transformers folder that appears whole."""
        return self.run("export", concept, method, seed, "README.md")

    def dataset(self, concept: str) -> str:
        """Card of a concept's data set, a folder that appears whole."""
        return self(f"dataset/{concept}/README.md")

    def table(self, name: str) -> str:
        """A table of the results."""
        return self(f"tables/{name}")

    def figure(self, name: str, suffix: str = "png") -> str:
        """A figure of the results."""
        return self(f"figures/{name}.{suffix}")

    @property
    def plan(self) -> str:
        """What the experiment would cost, as it was last asked."""
        return self("plan.json")

    @property
    def provenance(self) -> str:
        """Where figures and tables come from: config, code, devices and the jobs behind each."""
        return self("provenance.json")

    @property
    def archive(self) -> str:
        """What a reviewer needs, packed on demand."""
        return self(f"ear-repro-{self.experiment}.tar.gz")

    @property
    def report(self) -> str:
        """The report page."""
        return self("report.html")

    @property
    def report_files(self) -> str:
        """Folder of pictures beside the report page: too many for it, or unblurred ones."""
        return self("report")
