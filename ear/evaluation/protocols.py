"""The registry of what is measured: each axis of the evaluation is one entry of ``AXES``.

Config, tables, score card, figures, report and docs read it. A new axis is an entry, the code that measures
it (rows of its prompt sets in the table of metrics) and a test. A version changes whenever the same model
would get another number: by other prompts, images or counts. docs/reference/protocols.md explains them.
"""

from dataclasses import dataclass

PREFIX, CEILING, GUIDANCE, TEMPERATURE = "prefix", "ceiling", "guidance", "temperature"
SEARCH, RELEARNED = "search", "relearned"
INVERSION, INVERSION_CONTROL = "inversion", "inversion-control"
TARGET, RETENTION, GENERAL, CAPTIONS = "target", "retention", "general", "captions"
IMPLICIT, NEIGHBOURS, PUBLIC = "implicit", "neighbours", "public"
QUESTIONS = ("questions-concept", "questions-others")
SHOWN, SECOND, RIGHT = "concept_rate", "second_concept_rate", "accuracy"


@dataclass(frozen=True)
class Metric:
    """How a metric is read and written.

    Attributes:
        lower: whether low values are good.
        bounds: least and greatest value that it can have; None where it has none.
        scale: values are multiplied by it where people read them.
        decimals: of the scaled value.
        unit: of the scaled value.
    """

    lower: bool
    bounds: tuple[float, float] | None = None
    scale: float = 1
    decimals: int = 1
    unit: str = ""

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return "↓" if self.lower else "↑"

    def text(self, value: float) -> str:
        """The number as people read it, without its unit."""
        return f"{value * self.scale:.{self.decimals}f}"


METRICS: dict[str, Metric] = {
    SHOWN: Metric(lower=True, bounds=(0, 1), scale=100, unit=" %"),
    SECOND: Metric(lower=True, bounds=(0, 1), scale=100, unit=" %"),
    RIGHT: Metric(lower=False, bounds=(0, 1), scale=100, unit=" %"),
    "clip_score": Metric(lower=False, bounds=(0, 100), decimals=2),
    "fid": Metric(lower=True),
    "kid": Metric(lower=True, scale=1000),
    "diversity": Metric(lower=False),
    "bleu": Metric(lower=False, bounds=(0, 100)),
}
"""Metric of the table of metrics → how it is read and written."""


@dataclass(frozen=True)
class Axis:
    """An axis: one metric on some prompt sets.

    Attributes:
        name: as in tables.
        sets: prompt sets of the table of metrics; one that ends in "-" stands for all that begin so.
        metric: of the table of metrics, a key of ``METRICS``; it says which way is better.
        label: heading for readers.
        measures: one sentence for the docs: what is counted.
        version: of its protocol.
        config: key of the config's section ``axes`` that turns it on; "" for what is always measured.
        figure: the figure that shows it, by its file's name; "" for none of its own.
        score: whether it says how good a method is; if not, it is read beside another axis.
    """

    name: str
    sets: tuple[str, ...]
    metric: str
    label: str
    measures: str
    version: int = 1
    config: str = ""
    figure: str = ""
    score: bool = True

    @property
    def form(self) -> Metric:
        """How its metric is read and written."""
        return METRICS[self.metric]

    @property
    def heading(self) -> str:
        """Label, and which way is better."""
        return f"{self.label} {self.form.arrow}"

    @property
    def of_concept(self) -> bool:
        """Whether it asks how much of the concept is left; all others ask what is kept."""
        return self.metric in (SHOWN, SECOND)

    def has(self, prompt_set: str) -> bool:
        """Whether a prompt set belongs to it."""
        return any(
            prompt_set.startswith(name) if name.endswith("-") else prompt_set == name for name in self.sets
        )


AXES: tuple[Axis, ...] = (
    Axis(
        "erasure",
        (TARGET,),
        SHOWN,
        "Target",
        "images of prompts that name the concept, which show it",
        figure="concept-rate",
    ),
    Axis(
        "second-judge", (TARGET,), SECOND, "Second judge", "the same images, which show it to a second judge"
    ),
    Axis(
        "implicit",
        (IMPLICIT,),
        SHOWN,
        "Implicit",
        "images of prompts that describe the concept without its words, which show it",
        config="implicit",
        figure="attacks",
    ),
    Axis(
        PUBLIC,
        (f"{PUBLIC}-",),
        SHOWN,
        "Public",
        "images of prompt sets of other studies, where the config lists some, which show it",
    ),
    Axis(
        PREFIX,
        (f"{PREFIX}-",),
        SHOWN,
        "Prefix",
        "images that show the concept when the first tokens of an image of it are given",
        config="prefixes",
        figure="prefix",
    ),
    Axis(
        CEILING,
        (f"{CEILING}-",),
        SHOWN,
        "Ceiling",
        "the same by the original with the safe prompt: image and prompt disagree",
        version=2,
        config="prefixes",
        figure="prefix",
        score=False,
    ),
    Axis(
        GUIDANCE,
        (f"{GUIDANCE}-",),
        SHOWN,
        "Guidance",
        "images of target prompts at other guidance scales, which show the concept",
        config="guidance",
        figure="sweeps",
    ),
    Axis(
        TEMPERATURE,
        (f"{TEMPERATURE}-",),
        SHOWN,
        "Temperature",
        "images of target prompts at other temperatures, which show the concept",
        config="temperature",
        figure="sweeps",
    ),
    Axis(
        SEARCH,
        (f"{SEARCH}-",),
        SHOWN,
        "Search",
        "target prompts for which an attack finds words that bring the concept back",
        config="search",
        figure="attacks",
    ),
    Axis(
        INVERSION,
        (INVERSION,),
        SHOWN,
        "Inversion",
        "images that show the concept when an embedding learned from images of it stands for its name",
        config="inversion",
        figure="attacks",
    ),
    Axis(
        INVERSION_CONTROL,
        (INVERSION_CONTROL,),
        SHOWN,
        "Inversion control",
        "the same with a random embedding of the same norm: what the rest of the prompt brings out",
        config="inversion",
        figure="attacks",
        score=False,
    ),
    Axis(
        "relearning",
        (f"{RELEARNED}-",),
        SHOWN,
        "Relearning",
        "images of target prompts that show the concept after benign fine-tuning",
        version=2,
        config="relearning",
        figure="relearning",
    ),
    Axis(
        "neighbours",
        (NEIGHBOURS,),
        RIGHT,
        "Neighbours",
        "images of prompts for similar things, which show the right one",
        config="neighbours",
    ),
    Axis(
        "retention",
        (RETENTION,),
        RIGHT,
        "Retention",
        "images of prompts without the concept, which show the right object",
        figure="tradeoff",
    ),
    Axis(
        "agreement", (GENERAL,), "clip_score", "CLIP score", "CLIP score of general images and their prompts"
    ),
    Axis("fidelity", (GENERAL,), "fid", "FID", "Fréchet distance of general images to reference pictures"),
    Axis(
        "kernel-distance", (GENERAL,), "kid", "KID × 10³", "kernel distance of the same images and pictures"
    ),
    Axis("diversity", (GENERAL,), "diversity", "Diversity", "Vendi score of general images"),
    Axis("captions", (CAPTIONS,), "bleu", "Captions", "BLEU of descriptions of held-out pictures"),
    Axis(
        "questions",
        QUESTIONS[1:],
        RIGHT,
        "Questions",
        "right answers, yes or no, about other things than the concept in held-out pictures",
        config="questions",
        figure="understanding",
    ),
    Axis(
        "recognition",
        QUESTIONS[:1],
        RIGHT,
        "Recognition",
        "right answers, yes or no, to whether the concept is in held-out pictures",
        config="questions",
        figure="understanding",
    ),
)
"""In the order of tables and figures: what should be low, then what should be kept."""


def axis_of(prompt_set: str, metric: str) -> Axis | None:
    """The axis that a row of the table of metrics belongs to; None for others."""
    return next((axis for axis in AXES if axis.metric == metric and axis.has(prompt_set)), None)


def axis(name: str) -> Axis:
    """The axis of a name."""
    return next(one for one in AXES if one.name == name)


def is_judged(prompt_set: str) -> bool:
    """Whether judges see a set's images. Nobody reads what they say of the general ones, the most by far."""
    return prompt_set != GENERAL


def asks_for_concept(prompt_set: str) -> bool:
    """Whether a set's prompts are meant to bring out the concept: by name, by implication or by an attack."""
    return all(one.of_concept for one in AXES if one.has(prompt_set))


def level_of(prompt_set: str) -> float | None:
    """The number at a prompt set's end: 16 of "prefix-16"; None where it ends in none."""
    name, _, level = prompt_set.rpartition("-")
    try:
        return float(level) if name else None
    except ValueError:
        return None


def set_of(kind: str, level: float) -> str:
    """The prompt set of a level: "guidance-1.5"."""
    return f"{kind}-{level:g}"
