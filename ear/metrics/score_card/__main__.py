"""``python -m ear.metrics.score_card A.json B.json`` prints two cards side by side.

Without files it writes schemas/score-card.schema.json, which says what a card is.
"""

import sys

from ear.errors import InputError
from ear.files import write_json
from ear.metrics.score_card.file import ScoreCard, read_card, side_by_side

files = sys.argv[1:]
if not files:
    write_json("schemas/score-card.schema.json", ScoreCard.model_json_schema())
elif len(files) == 2:
    try:
        print(side_by_side(read_card(files[0]), read_card(files[1])))
    except InputError as error:
        sys.exit(f"error: {error}")
else:
    sys.exit(f"error: found {len(files)} files, wanted two score cards, or none to write the schema")
