"""How many tokens CLIP's text tower makes of a prompt: it reads 77, and so does Stable Diffusion.

Counted with the merges that open_clip carries, since its own tokenizer cannot be had without torch.
"""

import gzip
import html
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, pre_tokenizers

CONTEXT = 77
MERGES = 49152 - 256 - 2  # as CLIP takes them from the file, which has more
_WORD = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
_END = "</w>"


def clip_lengths(texts: Sequence[str]) -> list[int]:
    """(N,) tokens of each text, begin and end counted, however many they are."""
    cleaned = [" ".join(html.unescape(html.unescape(text)).split()).lower() for text in texts]
    return [len(encoded.ids) + 2 for encoded in _tokenizer().encode_batch(cleaned)]


@lru_cache(maxsize=1)
def _tokenizer() -> Tokenizer:
    package = find_spec("open_clip")
    assert package and package.submodule_search_locations, "open_clip is among the dependencies"
    file = Path(package.submodule_search_locations[0]) / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(file.read_bytes()).decode().split("\n")[1 : MERGES + 1]
    merges = [(first, second) for first, second in map(str.split, lines)]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(letter + _END for letter in letters), *(first + second for first, second in merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix=_END))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer
