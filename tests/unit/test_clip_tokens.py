"""How much of a prompt CLIP and Stable Diffusion read: against open_clip's own tokenizer."""

import open_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from ear.prompts.clip_tokens import CONTEXT, clip_lengths
from ear.prompts.odd_rows import odd_rows

ORACLE = open_clip.get_tokenizer("ViT-B-32")
WORDS = st.sampled_from(
    ["a church's door", "café", "1999", "don't", "&amp;", "Van Gogh!!", "<|mark|>", "tree,"]
)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.one_of(WORDS, st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)),
        max_size=30,
    ).map(" ".join)
)
def test_lengths_are_those_of_open_clip(text):
    assert clip_lengths([text]) == [len(ORACLE.encode(text)) + 2]


def test_prompts_that_are_cut_are_odd_rows(tmp_path):
    fits, cut = "tree " * (CONTEXT - 2) + "\n", "tree " * (CONTEXT - 1)
    (tmp_path / "pairs.csv").write_text("unsafe_prompt,safe_prompt\na church,a barn\n")
    (tmp_path / "targets.csv").write_text(f'prompt\n"{fits}"\n"{cut}"\n')
    (tmp_path / "general.csv").write_text(f'image_id,prompt\n1,"{cut}"\n2,"{fits}"\n')
    table = odd_rows(
        *(tmp_path / f"{name}.csv" for name in ("pairs", "targets", "general")), ["church"], "object"
    )
    rows = table[table["finding"].str.contains("CLIP")]
    assert list(zip(rows["file"], rows["row"], strict=True)) == [("targets.csv", 1), ("general.csv", 0)]
    assert set(rows["finding"]) == {"has 78 tokens of CLIP, which reads 77, as Stable Diffusion does"}
