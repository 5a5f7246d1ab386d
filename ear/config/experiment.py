"""The typed config of an experiment: every key, its unit and its range. Unknown keys are errors."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, StringConstraints, ValidationInfo, model_validator

from ear.config.concepts import Concept, Judge, Which
from ear.config.methods import PUBLISHED, STABLE_DIFFUSION, Erasure, Method
from ear.config.sections import (
    FEATURES,
    JUDGES,
    PUBLISHED_DATA,
    Q16_PROMPTS,
    Assets,
    Axes,
    Inversion,
    Name,
    Positive,
    Rate,
    Relearning,
    Scale,
    Search,
    Section,
    Seed,
    World,
)
from ear.config.sources import Prompts
from ear.erasure.variants import ANCHORED, JOINT, Settings
from ear.models.catalogue import Shape
from ear.models.chat_format import DESCRIBE
from ear.world.sentences import CONCEPTS

Run = tuple[str, str, int]
"""(concept, method, fine-tuning seed)"""

METHOD_ASSETS = {PUBLISHED: "ear-weights", STABLE_DIFFUSION: "stable-diffusion"}


class Backbone(Section):
    """Which backbone, and how it computes."""

    asset: Name = Field(description="asset with the backbone's weights")
    device: Literal["cpu", "cuda"] = Field(description="where it runs; byte identity is promised on the CPU")
    dtype: Literal["float32", "bfloat16"] = Field(description="number format of weights and activations")
    threads: Positive = Field(description="torch threads of every job; each number gives bytes of its own")
    image_size: Positive | None = Field(
        None, description="pixels a side of an image, of an Emu3 model; none: the family's own"
    )
    negative_prompt: str | None = Field(
        None, description="text of guidance's unconditional row, of an Emu3 model; none: the family's own"
    )


class Sampling(Section):
    """How images are drawn."""

    guidance: Scale = Field(description="scale of classifier-free guidance")
    temperature: Rate = Field(description="temperature of the softmax over image tokens")
    top_k: Positive | None = Field(
        None, description="number of the likeliest image tokens that are drawn from; none: all"
    )


class Utility(Section):
    """What is measured beside the concept: is everything else still drawn and understood?"""

    general: Positive = Field(
        description="number of prompts without any concept, for CLIP score, FID and KID"
    )
    captions: Annotated[int, Field(ge=0)] = Field(
        description="number of pictures that the model describes, for BLEU; 0 for one that cannot see"
    )
    question: Annotated[str, StringConstraints(min_length=1)] = Field(
        DESCRIBE, description="request for a description; the mini world's model knows the default alone"
    )
    features: Literal["classifier", "inception"] = Field(description="network of FID and KID")
    subsample: Literal["first", "seeded"] = Field("seeded", description="which captions of COCO-30k are used")
    reference: Literal["val2014", "matched"] = Field(
        "val2014",
        description="what FID compares with: all of COCO val2014, or pictures of the captions in use",
    )


class Filter(Section):
    """The visual filter of prompt pairs."""

    drop: bool = Field(description="whether pairs that fail are dropped; false reports on them and keeps all")


class Rendering(Section):
    """How drawing is cut into jobs and batches, and how images become bytes."""

    shards: Positive = Field(description="render jobs of each concept, method and seed")
    batch_size: Positive = Field(description="number of images that are sampled at once")
    protocol: Literal["lossless", "release"] = Field(
        "lossless",
        description="lossless: pixels are rounded, CLIP score and FID see them; release, as the authors: "
        "pixels are cut off, CLIP score and FID see JPEGs of quality 75",
    )


class Evaluation(Section):
    """How results are measured and shown."""

    window_prompts: Positive = Field(description="target prompts rendered for each window of the ablation")
    sample_rows: Positive = Field(description="number of target prompts in a before/after grid")
    shown_method: Name = Field(description="method that the overview figure shows beside the original")
    published: bool = Field(False, description="whether results are compared with the paper's values")


class Config(Section):
    """An experiment: all that decides its results.

    Made by ``ear.config.parse_config``, which checks it across its keys.
    """

    experiment: Name = Field(description="name of the folder under results/")
    seed: Seed = Field(description="seed of prompts, drawn pictures and each image's random numbers")
    seeds: list[Seed] = Field(description="fine-tuning seeds; a method erases once with each", min_length=1)
    world: World | None = Field(None, description="drawn: the mini world; none: photographs")
    assets: Assets = Field(Assets.model_validate({}), description="where models and published data are")
    backbone: Backbone
    sampling: Sampling
    prompts: Prompts | None = Field(None, description="where prompts come from; none: all are published")
    filter: Filter
    concepts: dict[Name, Concept] = Field(description="concepts to be erased, by name", min_length=1)
    erasure: Erasure
    methods: dict[Name, Method] = Field(description="methods that are compared, by name", min_length=1)
    rendering: Rendering
    utility: Utility
    evaluation: Evaluation
    axes: Axes = Field(
        Axes.model_validate({}), description="what is measured beside the concept's own prompts"
    )
    _shape: Shape = PrivateAttr()

    @model_validator(mode="after")
    def _on_a_backbone(self, info: ValidationInfo) -> Self:
        shapes: Mapping[str, Shape] = (info.context or {}).get("shapes", {})
        if self.backbone.asset not in shapes:
            known = ", ".join(shapes) or "none is listed"
            found = f"backbone.asset: found {self.backbone.asset}"
            raise ValueError(f"{found}, wanted a backbone of assets.yaml: {known}")
        try:
            self._shape = shapes[self.backbone.asset].sized(self.backbone.image_size)
        except ValueError as error:
            raise ValueError(f"backbone.image_size: {error}") from None
        return self

    @property
    def shape(self) -> Shape:
        """Shape of the backbone, with images of the size that is asked for."""
        return self._shape

    @property
    def image_tokens(self) -> int:
        """T, image tokens of an image."""
        return self._shape.image_tokens

    @property
    def own_prompts(self) -> list[str]:
        """Concepts whose prompts come from ``prompts.sources``."""
        return [name for name, concept in self.concepts.items() if concept.published is None]

    def pairs_asked(self, source: str) -> int:
        """Pairs that a source makes a concept; without a grammar, evaluation prompts come from them too."""
        assert self.prompts, "a config with sources has prompts"
        return self.prompts.asked(source, held_out=self.world is None)

    def judge_asset(self, by: str) -> str:
        """The asset with the model of a kind of judge, unless the judge names another one."""
        return JUDGES[self.world][by]

    def judge_assets(self, judge: Judge) -> list[str]:
        """The asset with a judge's model and, of Q16, the one with its prompts."""
        model = getattr(judge, "asset", None) or self.judge_asset(judge.by)
        return [model, Q16_PROMPTS] if judge.by == "q16" else [model]

    @property
    def clip_asset(self) -> str:
        """The asset with the CLIP of the CLIP score."""
        return self.judge_asset("zero-shot")

    @property
    def features_asset(self) -> str:
        """The asset with the network of FID and KID."""
        return FEATURES[self.world][self.utility.features]

    @property
    def used_assets(self) -> list[str]:
        """Names of the assets that the experiment needs, each once."""
        every = [judge for concept in self.concepts.values() for judge in concept.judges.values()]
        judges = [asset for judge in every for asset in self.judge_assets(judge)]
        methods = [METHOD_ASSETS[one.variant] for one in self.methods.values() if one.needs_assets]
        public = [name for concept in self.concepts.values() for name in concept.prompt_assets]
        data = () if self.world else (*PUBLISHED_DATA, *public)
        names = [self.backbone.asset, *methods, *data, self.clip_asset, *judges, self.features_asset]
        return list(dict.fromkeys(names))

    def methods_of(self, concept: str) -> list[str]:
        """Methods that are measured on a concept."""
        return [name for name, method in self.methods.items() if method.concerns(concept)]

    def erased_with(self, concept: str, method: str) -> list[str]:
        """Concepts that a method erases with the edited weights that it has for a concept, in order."""
        return self.methods[method].erase or [concept]

    def also_erased(self, concept: str, method: str) -> list[str]:
        """Words of the further concepts that a method erases together with a concept."""
        together = self.erased_with(concept, method)
        return [self.concepts[other].words for other in together if other != concept]

    def pairing(self, concept: str, context: str) -> dict[str, Any]:
        """How a concept's pairs are read for a context: keys of ``ear.erasure.sequences.pairs_of``."""
        chosen = self.concepts[concept]
        anchored = {"names": chosen.names, "anchors": chosen.anchors} if context == ANCHORED else {}
        return {"context": context, **anchored}

    def edited(self, run: Run) -> Run:
        """The run that edited weights belong to: concepts that are erased together are joined by "+"."""
        concept, method, seed = run
        return JOINT.join(self.erased_with(concept, method)), method, seed

    def edited_weights(self) -> list[Run]:
        """All edited weights, each once, by the runs that they belong to."""
        adapted = [self.edited(run) for run in self.runs() if self.methods[run[1]].adapts]
        return list(dict.fromkeys(adapted))

    def sequences(self) -> list[tuple[str, int, str, str]]:
        """(concept, seed, context, encoding) of all token sequences that a training reads, each once."""
        runs = [(*run, self.settings(*run[:2]).variant) for run in self.runs() if self.methods[run[1]].trains]
        read = [(concept, seed, variant.context, variant.encoding) for concept, _, seed, variant in runs]
        return list(dict.fromkeys(read))

    def runs(self) -> list[Run]:
        """All (concept, method, seed); a method that trains nothing stands as seed 0."""
        return [
            (concept, method, seed)
            for concept in self.concepts
            for method in self.methods_of(concept)
            for seed in (self.seeds if self.methods[method].trains else [0])
        ]

    def searched(self, method: str) -> Search | None:
        """The attack on a method's prompts; None where it is not asked for, or the backbone does not draw."""
        return self.axes.search if self.methods[method].draws else None

    def inverted(self, method: str) -> Inversion | None:
        """The attack by an embedding; None where it is not asked for, or the backbone does not draw."""
        return self.axes.inversion if self.methods[method].draws else None

    def relearned(self, method: str) -> Relearning | None:
        """The attack on a method's weights; None where it is not asked for, or no weights were changed."""
        return self.axes.relearning if self.methods[method].adapts else None

    def relearned_layers(self, method: str) -> int | None:
        """Layers whose attention is attacked in place of a LoRA, which would be nearly all weights."""
        lora = self.methods[method].overrides.get("lora", self.erasure.lora)
        return self.erasure.layers if lora and self.methods[method].trains else None

    def things(self) -> list[str]:
        """Names of things that pictures are asked for beside the concept; none are known beyond the world."""
        return [words for names in CONCEPTS.values() for words in names] if self.world else []

    def attacked_runs(self) -> list[Run]:
        """Those of :meth:`runs` on which there is an attack."""
        attacks = (self.searched, self.inverted, self.relearned)
        return [run for run in self.runs() if any(attack(run[1]) for attack in attacks)]

    def judge_settings(self, concept: str, which: Which = "judge") -> dict[str, Any] | None:
        """All keys of a concept's judge, a zero-shot judge's phrases filled in; None for no second judge."""
        settings = self.concepts[concept]
        judge = settings.judges.get(which)
        if judge is not None and judge.by == "zero-shot":
            return judge.filled_in(settings.kind, settings.words, world=self.world is not None)
        return None if judge is None else judge.model_dump()

    def settings(self, concept: str, method: str) -> Settings:
        """All settings of a method's fine-tuning for a concept."""
        settings = self.methods[method].settings(
            self.erasure, self.concepts[concept].window, self.image_tokens
        )
        if any(self.concepts[name].anchors for name in self.erased_with(concept, method)):
            return settings
        return settings.without_anchors()

    def method_window(self, concept: str, method: str) -> int | None:
        """The method's own window length for a concept; None for methods without edited weights."""
        if not self.methods[method].trains:
            return self.concepts[concept].window if self.methods[method].adapts else None
        window = self.settings(concept, method).variant.window
        assert isinstance(window, int), "settings resolve the window"
        return window

    def trained_windows(self, concept: str, method: str) -> list[int]:
        """Window lengths that a job of this concept and method trains, ascending."""
        swept = self.erasure.windows if self.methods[method].sweep else []
        own = self.method_window(concept, method)
        return sorted({*swept} | ({own} if own else set()))
