"""The mini backbone's processor: a word-level tokenizer with Janus-Pro's special tokens and chat template."""

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
    backend = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
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
