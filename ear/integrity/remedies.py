"""What repairs a results folder: the commands for what a verification found."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from ear.integrity.inspection import Inspection

MANIFEST = "manifest.csv"
WITH_MANIFESTS = ("images", "prompts")
"""Folders whose pictures are parts of what a job writes; the job promises their manifest alone."""


def remedies(inspection: Inspection, configfiles: Sequence[str] = ()) -> list[str]:
    """Commands that repair what was found, to be run one after the other; none where nothing was.

    What is wrong is removed where its job would keep it: a picture that is whole, a file that nothing lists.
    Then one command runs again all jobs that make what was found, sources before what is made from them, and
    another one the jobs that follow.

    Args:
        inspection: a finished one.
        configfiles: of the experiment; none for the default one.
    """
    root = Path(inspection.paths.root)
    # What is blamed stands before the first colon, with or without a row or key behind it.
    files = dict.fromkeys(Path(line.partition(": ")[0]) for line in inspection.mismatches)
    mine = [path for path in files if path.is_relative_to(root)]
    unlisted = [path for path in mine if path in inspection.unlisted_files]
    targets = dict.fromkeys(str(_target(path, root)) for path in mine if path not in unlisted)
    removed = [*unlisted, *(path for path in mine if str(path) not in targets and path.exists())]
    removed = [path for path in dict.fromkeys(removed) if not path.is_relative_to(root / "assets")]
    flag = ["--configfile", *configfiles] if configfiles else []
    commands = [["rm", *map(str, removed)]] if removed else []
    if targets:
        commands.append(["snakemake", *targets, "--force", *flag])
    if mine:
        commands.append(["snakemake", *flag])
    return [shlex.join(command) for command in commands]


def _target(path: Path, root: Path) -> Path:
    """The file that a job promises, of which a file is or is a part."""
    stage = path.relative_to(root).parts[0]
    if stage in WITH_MANIFESTS and path.suffix == ".png":
        return path.with_name(MANIFEST)
    if stage == "erased" and path.parent.name == "windows":
        return path.parent.with_name("windows.csv")
    if stage == "assets":
        return root.joinpath(*path.relative_to(root).parts[:2], "asset.json")
    return path
