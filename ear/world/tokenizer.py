"""Word-level tokenizers of the mini world: the backbone's, with Janus-Pro's special tokens, and CLIP's."""

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import JanusImageProcessor, JanusProcessor, PreTrainedTokenizerFast

from ear.chat import (
    BOS,
    CHAT_TEMPLATE,
    DESCRIBE,
    EOS,
    IMAGE,
    IMAGE_END,
    IMAGE_START,
    PAD,
    SPECIAL_TOKENS,
    UNKNOWN,
    question,
)
from ear.world.canvas import SIZE
from ear.world.captions import words

CLIP_PAD, CLIP_UNKNOWN, CLIP_START, CLIP_END = "<pad>", "<unk>", "<start>", "<end>"


def build_processor(num_image_tokens: int) -> JanusProcessor:
    """Tokenizer, image processor and chat template of the mini backbone.

    The tokenizer knows the words of the caption grammar, of DESCRIBE and of ``question``, lower-cases, puts
    begin-of-sentence in front and pads on the left; any other word is unknown. Images become (3, 64, 64) in
    [-1, 1].

    Args:
        num_image_tokens: placeholders that stand for one image in a text.
    """
    vocabulary = sorted({*words(), *DESCRIBE.split(), *question("").split(), ",", ":"})
    ids = {word: index for index, word in enumerate((*SPECIAL_TOKENS, *vocabulary))}
    backend = _word_level(ids, UNKNOWN)
    backend.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, ids[BOS])]
    )
    backend.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        extra_special_tokens={"image_token": IMAGE, "boi_token": IMAGE_START, "eoi_token": IMAGE_END},
    )
    images = JanusImageProcessor(
        size={"height": SIZE, "width": SIZE}, image_mean=[0.5] * 3, image_std=[0.5] * 3, min_size=SIZE // 4
    )
    return JanusProcessor(images, tokenizer, chat_template=CHAT_TEMPLATE, num_image_tokens=num_image_tokens)


def build_clip_tokenizer(context_length: int) -> PreTrainedTokenizerFast:
    """CLIP's tokenizer: the words of the caption grammar in place of CLIP's 49 408 pieces of words.

    The end of a text has the largest id, where open_clip looks for it, and the padding has id 0.

    Args:
        context_length: longest text in tokens, its start and end included.
    """
    pieces = (CLIP_PAD, CLIP_UNKNOWN, CLIP_START, *sorted({*words(), ","}), CLIP_END)
    ids = {piece: index for index, piece in enumerate(pieces)}
    backend = _word_level(ids, CLIP_UNKNOWN)
    backend.post_processor = processors.TemplateProcessing(
        single=f"{CLIP_START} $A {CLIP_END}",
        special_tokens=[(piece, ids[piece]) for piece in (CLIP_START, CLIP_END)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=CLIP_START,
        eos_token=CLIP_END,
        pad_token=CLIP_PAD,
        unk_token=CLIP_UNKNOWN,
        model_max_length=context_length,
        clean_up_tokenization_spaces=False,
    )


def _word_level(ids: dict[str, int], unknown: str) -> Tokenizer:
    """A tokenizer of lower-case words and commas."""
    backend = Tokenizer(models.WordLevel(ids, unk_token=unknown))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return backend
