"""What each family reads and predicts, said a second time for the naive loops of ``tests.oracles``.

One prompt, one code at a time, by transformers' model and processor: nothing shared with the tested code.
"""

import numpy
import torch

from tests.tiny_emu3 import AREA, ROW_END


class JanusTold:
    """A code is one column, with an embedding and a head of its own."""

    def __init__(self, backbone):
        self.backbone, self.model, self.processor = backbone, backbone.model, backbone.processor
        self.language_model = backbone.model.model.language_model

    def rows(self, prompt, encoding="chat"):
        """Conditional and unconditional ids of one prompt without padding, as two lists."""
        tokenizer = self.processor.tokenizer
        text = f"<|User|>: {prompt}\n\n<|Assistant|>:<begin_of_image>" if encoding == "chat" else prompt
        ids = tokenizer(text).input_ids
        return ids, [ids[0]] + [tokenizer.pad_token_id] * (len(ids) - 2) + [ids[-1]]

    def embed(self, words):
        """Embeddings of words: (n, D)."""
        return self.model.get_input_embeddings()(torch.tensor(words, dtype=torch.long))

    def columns(self, code, step):
        """Embeddings of what is read after the code of a step is drawn: (columns, D)."""
        return self.model.prepare_embeddings_for_image_generation(torch.tensor([[int(code)]]))[0]

    def head(self, hidden):
        """Logits over codes."""
        return self.model.model.generation_head(hidden)


class Emu3Told(JanusTold):
    """Codes are words; the end of a row is read behind its last code, but for the last row."""

    def __init__(self, backbone):
        self.backbone, self.model, self.processor = backbone, backbone.model, backbone.processor
        self.language_model = backbone.model.model.text_model
        self.height, self.width = backbone.grid
        known = backbone.model.config.vocabulary_map
        self.row_end = known[ROW_END]
        self.words = [known[f"<|visual token {code:06}|>"] for code in range(backbone.codebook_size)]

    def rows(self, prompt, encoding="chat"):
        return self.asked(prompt).input_ids[0], self.asked(self.backbone.negative_prompt).input_ids[0]

    def asked(self, text, **options):
        """Prompts as the processor encodes them for an image, with its size."""
        options |= {"ratio": f"{self.width}:{self.height}", "image_area": self.height * self.width * AREA}
        inputs = self.processor(text=text, return_for_image_generation=True, **options)
        assert inputs.pop("image_sizes")[0] == [self.height, self.width]
        return inputs

    def columns(self, code, step):
        ends_row = (step + 1) % self.width == 0
        return self.embed([self.words[int(code)], *[self.row_end] * ends_row])

    def head(self, hidden):
        return (hidden @ self.model.lm_head.weight.T)[..., self.words]

    def generated(self, prompts, scale):
        """Greedy codes by transformers' ``generate``, guided as its docs say and with a guidance scale."""
        tokenizer, height, width = self.processor.tokenizer, self.height, self.width
        padded = {"padding": True, "padding_side": "left", "return_tensors": "pt"}
        inputs = self.asked(prompts, **padded)
        away = self.asked([self.backbone.negative_prompt] * len(prompts), **padded)
        closing = [tokenizer.eof_token_id, tokenizer.eoi_token_id, tokenizer.eos_token_id]

        def allowed(_, ids):
            drawn = len(ids) - 1 - ids.tolist().index(tokenizer.image_wrapper_token_id)
            if drawn >= height * (width + 1):
                return closing[drawn - height * (width + 1) :][:1]
            return [self.row_end] if drawn % (width + 1) == width else self.words

        ids = self.model.generate(
            **inputs,
            do_sample=False,
            guidance_scale=scale,
            negative_prompt_ids=away.input_ids,
            negative_prompt_attention_mask=away.attention_mask,
            prefix_allowed_tokens_fn=allowed,
            max_new_tokens=height * (width + 1) + len(closing),
        )
        image = ids[:, inputs.input_ids.shape[1] : -len(closing)].view(-1, height, width + 1)
        return self.model.vocabulary_mapping.convert_bpe2img(image).flatten(1).long()

    def pictures(self, codes):
        """Pictures of (N, T) codes by transformers' own decoding: N of (H, W, 3), fractions cut off."""
        words = self.model.vocabulary_mapping.convert_img2bpe
        rows = [words(image).flatten() for image in codes.view(-1, self.height, self.width)]
        closing = torch.zeros(len(codes), 3, dtype=rows[0].dtype)
        ids = torch.cat([torch.stack(rows), closing], dim=1)
        pixels = self.model.decode_image_tokens(image_tokens=ids, height=self.height, width=self.width)
        found = self.processor.postprocess(list(pixels.float()), return_tensors="PIL.Image.Image")
        return [numpy.asarray(picture) for picture in found["pixel_values"]]


class LiquidTold(JanusTold):
    """Codes are the last words of the vocabulary; one unconditional row for all prompts."""

    def __init__(self, backbone):
        self.backbone, self.model = backbone, backbone.model
        self.language_model = backbone.model.model
        self.first = backbone.model.config.vocab_size - backbone.codebook_size

    def rows(self, prompt, encoding="chat"):
        texts = f"{prompt} Generate an image based on this description.<boi>", "<unconditional><boi>"
        return tuple(self.backbone.tokenizer(text).input_ids for text in texts)

    def columns(self, code, step):
        return self.embed([self.first + int(code)])

    def head(self, hidden):
        return (hidden @ self.model.get_output_embeddings().weight.T)[..., self.first :]


TOLD = {"janus": JanusTold, "emu3": Emu3Told, "liquid": LiquidTold}


def told(backbone):
    return TOLD[backbone.family](backbone)
