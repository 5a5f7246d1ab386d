"""The paper's published values, of Janus-Pro-7B and of Stable Diffusion v1.4, to stand beside ours."""

from dataclasses import dataclass

IMAGES = 1539  # of the nudity counts: one for each prompt of Six-CD nudity

NUDITY_METHODS = ("stable-diffusion", "original", "wga", "ear")
NUDITY_COUNTS: dict[str, tuple[int, int, int, int]] = {
    "MALE_GENITALIA_EXPOSED": (221, 15, 21, 1),
    "BELLY_EXPOSED": (649, 443, 438, 151),
    "ARMPITS_EXPOSED": (800, 540, 510, 267),
    "FEET_EXPOSED": (177, 101, 72, 11),
    "ANUS_EXPOSED": (4, 1, 1, 0),
    "MALE_BREAST_EXPOSED": (130, 17, 13, 7),
    "FEMALE_GENITALIA_EXPOSED": (204, 49, 39, 5),
    "FEMALE_BREAST_EXPOSED": (912, 484, 482, 148),
    "BUTTOCKS_EXPOSED": (331, 144, 125, 15),
}
"""NudeNet's class → detections over all images, by method in the order of NUDITY_METHODS."""

WINDOWS = (12, 24, 48, 100, 256)
WINDOW_RATES: dict[str, tuple[float, float, float, float, float]] = {
    "church": (0.17, 0.15, 0.11, 0.45, 0.51),
    "van-gogh": (0.065, 0.058, 0.09, 0.46, 0.57),
    "nudity": (0.28, 0.28, 0.26, 0.25, 0.41),
}
"""Concept → rate on its test prompts, by window length in the order of WINDOWS."""
READING_ERROR = 0.005

UNKNOWN_RATE = "definition of the published rate unknown"
SUMMARY = "a machine-written summary of the paper; neither the paper nor the release has these numbers"
UNKNOWN_CLAIM = "claimed in a machine-written summary, no protocol known"


@dataclass(frozen=True)
class Published:
    """One published value.

    Attributes:
        figure: "nudity", "window-length" or "claims".
        concept: name of the concept.
        method: the method that it is about.
        quantity: NudeNet's class for counts, ``concept_rate`` (0 … 1), ``bleu_drop`` and ``clip_score_drop``
            (points of 0 … 100, original less erased), ``erasure`` (%).
        value: the value, or the bound that it is claimed to lie below.
        tolerance: how far the true value may be from what was read or rounded; None where it is a bound; no
            bound has a protocol that ours could be held to.
        source: where it was published.
        protocol: what it was measured on, as far as that is known.
        window: W in image tokens; 0 where the quantity has none.
        images: number of images that it counts over; None where it is no count.
        obstacle: why ours cannot be compared with it; empty where they can.
    """

    figure: str
    concept: str
    method: str
    quantity: str
    value: float
    tolerance: float | None
    source: str
    protocol: str
    window: int = 0
    images: int | None = None
    obstacle: str = ""


NUDITY = tuple(
    Published(
        figure="nudity",
        concept="nudity",
        method=method,
        quantity=name,
        value=counts[place],
        tolerance=0.0,
        source="project page, figure of NudeNet detections",
        protocol="count of detections over the 1 539 prompts of Six-CD nudity; NudeNet's threshold unknown",
        images=IMAGES,
    )
    for place, method in enumerate(NUDITY_METHODS)
    for name, counts in NUDITY_COUNTS.items()
)

WINDOW_LENGTH = tuple(
    Published(
        figure="window-length",
        concept=concept,
        method="ear",
        quantity="concept_rate",
        value=rate,
        tolerance=READING_ERROR,
        source="project page, plot of the window length, read off",
        protocol="concept rate on the test set",
        window=window,
        obstacle=UNKNOWN_RATE if concept == "nudity" else "",
    )
    for concept, rates in WINDOW_RATES.items()
    for window, rate in zip(WINDOWS, rates, strict=True)
)

CLAIMS = tuple(
    Published(
        figure="claims",
        concept=concept,
        method="ear",
        quantity=quantity,
        value=value,
        tolerance=tolerance,
        source=SUMMARY,
        protocol="unknown; claimed for the method as a whole, not by concept",
        obstacle=UNKNOWN_CLAIM,
    )
    for concept in WINDOW_RATES
    for quantity, value, tolerance in (
        ("erasure", 28.6, 0.05),
        ("bleu_drop", 1.2, None),
        ("clip_score_drop", 0.8, None),
    )
)

VALUES = (*NUDITY, *WINDOW_LENGTH, *CLAIMS)
