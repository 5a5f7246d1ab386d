"""Whether this machine can compile for its GPU. Without torch."""

import os
import shutil
import sysconfig
from pathlib import Path


def missing_for_compiling() -> str | None:
    """What Triton, by which torch compiles for a GPU, does not find here; None where all is there.

    It builds its launcher with a C compiler, against the headers of this Python.

    Returns:
        What was found and wanted, and how to get it.
    """
    chosen = os.environ.get("CC")
    if chosen is not None and shutil.which(chosen) is None:
        return f"found no C compiler {chosen!r}, which the environment variable CC names: unset it or mend it"
    if chosen is None and not any(map(shutil.which, ("gcc", "clang"))):
        return (
            "found no C compiler, wanted gcc or clang in PATH or one named by the environment variable CC: "
            "install one (Debian: gcc)"
        )
    scheme = sysconfig.get_default_scheme().replace("posix_local", "posix_prefix")  # as Triton looks
    header = Path(sysconfig.get_paths(scheme)["include"]) / "Python.h"
    if not header.is_file():
        return f"found no {header}, wanted the headers of this Python: install them (Debian: python3-dev)"
    return None
