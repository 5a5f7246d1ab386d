"""``python -m ear.plan`` writes what the experiments cost into the pages that say so."""

from pathlib import Path

from ear.plan.pages import PAGES, filled

for page in PAGES:
    path = Path(page)
    path.write_text(filled(path.read_text(encoding="utf-8"), "."), encoding="utf-8")
