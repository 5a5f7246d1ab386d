"""Files of concepts, methods, seeds and shards that an experiment had once and its config no longer names."""

from collections.abc import Collection
from pathlib import Path, PurePosixPath

from ear.config import Config
from ear.paths import Paths
from ear.provenance import read_records

GENERAL, PAIRS, TARGETS, SHARED = "general", "pairs", "targets", {"general.csv", "reference", "captions"}


def strays(config: Config, figures: Collection[str]) -> list[Path]:
    """Files below the experiment's folder that belong to nothing that the config names, in a fixed order.

    They stay when a concept, a method or a seed is taken out, and are nobody's results. A job's logs are
    strays where all that it wrote is, its benchmark too. Hidden files are work in progress.

    Args:
        config: of the experiment.
        figures: paths of all figures that it has.
    """
    root = Path(Paths(config.experiment).root)
    names = _Names(config, figures)
    records = read_records(root / "logs")
    over = {job for job, record in records.items() if _outputs_are_over(names, record["outputs"], root)}
    found = []
    for path in sorted(root.rglob("*")):
        name = PurePosixPath(path.relative_to(root))
        if not path.is_file() or any(part.startswith(".") for part in name.parts):
            continue
        of_a_job = name.parts[0] in ("logs", "benchmarks")
        if name.stem in over if of_a_job else not names.have(name):
            found.append(path)
    return found


def _outputs_are_over(names: "_Names", outputs: Collection[str], root: Path) -> bool:
    below = [PurePosixPath(path).relative_to(root) for path in outputs if Path(path).is_relative_to(root)]
    return bool(below) and not any(map(names.have, below))


class _Names:
    """What an experiment's config names.

    Args:
        config: of the experiment.
        figures: paths of all figures that it has.
    """

    def __init__(self, config: Config, figures: Collection[str]) -> None:
        self._config = config
        self._figures = {Path(path).name for path in figures}
        self._runs = {(concept, method, f"seed{seed}") for concept, method, seed in config.runs()}
        self._adapters = {(erased, method, f"seed{seed}") for erased, method, seed in config.adapters()}
        self._shards = {f"shard{shard}" for shard in range(config.rendering.shards)}
        self._streams = {
            (one, f"seed{seed}", f"{context}-{encoding}.safetensors")
            for one, seed, context, encoding in config.streams()
        }

    def have(self, name: PurePosixPath) -> bool:
        """Whether a path below the experiment's folder, as ``ear.paths`` spells it, is one of these."""
        stage, *rest = (*name.parts, *[""] * 4)
        concept, run = rest[0], tuple(rest[:3])
        match stage:
            case "figures":
                return name.name in self._figures
            case "prompts":
                return concept in SHARED or (concept in self._config.concepts and self._has_source(rest))
            case "ecgvf" | "dataset":
                return concept in self._config.concepts
            case "streams":
                return run in self._streams
            case "images" if concept == GENERAL:
                return rest[1] in self._shards
            case "images" if rest[1] in (PAIRS, TARGETS):
                return concept in self._config.concepts
            case "images":
                return run in self._runs and rest[3] in self._shards
            case "evaluation" | "attacks" | "export":
                return run in self._runs
            case "erased":
                return run in self._adapters
        return True

    def _has_source(self, rest: list[str]) -> bool:
        prompts = self._config.prompts
        return rest[1] != "sources" or (prompts is not None and rest[2] in prompts.sources)
