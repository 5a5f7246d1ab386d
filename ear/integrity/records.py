"""What jobs recorded of their outputs: still the same bytes."""

from collections.abc import Mapping
from pathlib import Path

from ear.integrity.inspection import Inspection
from ear.provenance import Record, chain


def check_records(inspection: Inspection, records: Mapping[str, Record], results: list[str]) -> None:
    """Check the outputs of all jobs behind some results against the hashes that these recorded.

    Args:
        inspection: gets the mismatches.
        records: of the experiment's jobs.
        results: paths of figures, report and the like.
    """
    behind = chain(results, records)
    wanted = {Path(path): digest for job in behind for path, digest in records[job]["outputs"].items()}
    inspection.files(list(wanted), wanted.values(), "hashing outputs")
    inspection.counts["recorded jobs"] += len(behind)
