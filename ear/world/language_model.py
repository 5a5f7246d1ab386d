"""Training of the mini backbone: text → image, image → caption and yes/no questions, in fixed steps."""

import logging
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from transformers import JanusForConditionalGeneration, JanusProcessor

from ear.models.chat_format import DESCRIBE, IMAGE, NO, YES, caption_prompt, image_prompt, question
from ear.workflow.progress import progress
from ear.world.scenes import OBJECTS
from ear.world.sentences import FIRE_PHRASE, SEPIA_PHRASE, STYLE_PHRASE
from ear.world.vq import LossCurve, rate_at, to_pixels

logger = logging.getLogger(__name__)

IGNORED = -100  # label of positions without loss
ASKED = (*OBJECTS, FIRE_PHRASE, STYLE_PHRASE, SEPIA_PHRASE)  # K things a picture is asked for


def train_language_model(
    model: JanusForConditionalGeneration,
    processor: JanusProcessor,
    images: np.ndarray,
    table: pd.DataFrame,
    *,
    steps: int,
    batch_size: int,
    caption_batch_size: int,
    question_batch_size: int,
    caption_weight: float,
    learning_rate: float,
    matrix_learning_rate: float,
    warmup_steps: int,
    weight_decay: float,
    prompt_dropout: float,
    held_out: int,
    seed: int,
) -> tuple[dict[str, float], pd.DataFrame]:
    """Train everything but the image tokenizer, in place.

    Args:
        model: the backbone, its image tokenizer trained.
        processor: the model's.
        images: (N, 64, 64, 3) uint8.
        table: captions and descriptions of the images, and what they show, in their order.
        seed: seed of batches and dropout.

    The other arguments are the recipe's section ``language_model``, which schemas/recipe.schema.json
    describes. Learning rates fall to zero along a cosine; the last ``held_out`` images are not trained on.

    Returns:
        Metrics of the held-out rows (image_loss and caption_loss in nats a token; question_accuracy,
        in which questions with either answer count half) and the loss curve (step, stage, loss).
    """
    examples = Examples(model, processor, images, table)
    trained, kept = np.arange(len(images) - held_out), np.arange(len(images) - held_out, len(images))
    model.requires_grad_(True)
    model.model.vqmodel.requires_grad_(False)
    optimisers = _optimisers(model, learning_rate, matrix_learning_rate, weight_decay)
    peaks = [(group, group["lr"]) for optimiser in optimisers for group in optimiser.param_groups]
    generator = torch.Generator().manual_seed(seed)
    image_batches = _batches(trained, batch_size, generator)
    caption_batches = _batches(trained, caption_batch_size, generator)
    question_batches = _batches(trained, question_batch_size, generator)
    curve = LossCurve(steps)
    for step in progress(range(steps), desc="training the mini backbone", unit="step"):
        for group, peak in peaks:
            group["lr"] = rate_at(step, steps, warmup_steps, peak)
        rows = next(image_batches)
        dropped = torch.rand(len(rows), generator=generator) < prompt_dropout
        image_loss = examples.image_loss(rows, dropped)
        caption_loss = examples.caption_loss(next(caption_batches))
        question_loss = examples.question_loss(next(question_batches))
        model.zero_grad(set_to_none=True)
        (image_loss + caption_weight * (caption_loss + question_loss)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        losses = {"image": image_loss, "caption": caption_loss, "question": question_loss}
        curve.add(step, {stage: loss.item() for stage, loss in losses.items()})
    model.eval()
    metrics = _held_out_quality(examples, kept)
    logger.info("mini backbone: %s", metrics)
    return metrics, curve.table()


class Examples:
    """The training set as token ids, and the three losses over any of its rows.

    Args:
        model: the backbone.
        processor: the model's; prompts are encoded by it exactly as at inference.
        images: (N, 64, 64, 3) uint8.
        table: with the columns caption, description, object, fire, van_gogh and sepia.
    """

    def __init__(
        self,
        model: JanusForConditionalGeneration,
        processor: JanusProcessor,
        images: np.ndarray,
        table: pd.DataFrame,
    ) -> None:
        tokenizer = processor.tokenizer
        self.model = model
        self.pixels = to_pixels(images)
        self.tokens = encode_images(model, self.pixels)  # (N, T)
        self.prompts = _encode_prompts(processor, table["caption"].tolist())
        self.kept_ids = torch.tensor([tokenizer.bos_token_id, tokenizer.boi_token_id])
        self.pad_id = tokenizer.pad_token_id
        self.before_image, self.after_image = _around_image(processor, images[0], DESCRIBE)
        answers = tokenizer(table["description"].tolist(), add_special_tokens=False)["input_ids"]
        self.answers = [torch.tensor([*answer, tokenizer.eos_token_id]) for answer in answers]
        self.questions = Questions(
            [_around_image(processor, images[0], question(thing))[1] for thing in ASKED],
            yes=tokenizer.convert_tokens_to_ids(YES),
            no=tokenizer.convert_tokens_to_ids(NO),
            end=tokenizer.eos_token_id,
            table=table,
            start=len(self.before_image) + self.tokens.shape[1],
        )

    def image_loss(self, rows: np.ndarray, dropped: Tensor) -> Tensor:
        """Cross-entropy of the image tokens given their prompts, nats a token.

        Args:
            rows: (B,) indices into the training set.
            dropped: (B,) bool; these rows become what ``generate`` makes of its unconditional half: every
                token but begin-of-sentence and begin-of-image is the pad token, and is attended to.
        """
        ids, mask = _pad_left([self.prompts[row] for row in rows], self.pad_id)  # (B, P)
        emptied = dropped[:, None] & ~torch.isin(ids, self.kept_ids)
        ids = ids.masked_fill(emptied, self.pad_id)
        tokens = self.tokens[rows]  # (B, T)
        model = self.model
        embeddings = torch.cat(
            [
                model.get_input_embeddings()(ids),
                model.prepare_embeddings_for_image_generation(tokens[:, :-1]),
            ],
            dim=1,
        )  # (B, P + T − 1, D)
        # Without padding no mask: the faster causal kernel.
        seen = None if bool(mask.all()) else F.pad(mask, (0, tokens.shape[1] - 1), value=1)
        states = model.model.language_model(inputs_embeds=embeddings, attention_mask=seen, use_cache=False)
        logits = model.model.generation_head(states.last_hidden_state[:, -tokens.shape[1] :])  # (B, T, V)
        return F.cross_entropy(logits.flatten(0, 1), tokens.flatten())

    def caption_loss(self, rows: np.ndarray) -> Tensor:
        """Cross-entropy of the answers given the images and the request for them, nats a token.

        Args:
            rows: (B,) indices into the training set.
        """
        answers = [self.answers[row] for row in rows]
        # Padding on the right of a causal model is never seen by what stands before it: no mask is needed.
        ids = torch.nn.utils.rnn.pad_sequence(answers, batch_first=True, padding_value=self.pad_id)  # (B, A)
        labels = torch.nn.utils.rnn.pad_sequence(answers, batch_first=True, padding_value=IGNORED)
        after = self.after_image.expand(len(rows), -1)
        logits = self._logits(rows, torch.cat([after, ids[:, :-1]], dim=1))[:, -ids.shape[1] :]
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)

    def question_loss(self, rows: np.ndarray) -> Tensor:
        """Loss of the answers to all questions about the images (``Questions.loss``).

        Args:
            rows: (B,) indices into the training set.
        """
        return self.questions.loss(rows, *self._question_logits(rows))

    def rightly_answered(self, rows: np.ndarray) -> Tensor:
        """(B, K) bool: which questions about the images are."""
        return self.questions.right(rows, self._question_logits(rows)[0])

    def _question_logits(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Logits (B, K, words) where the answers are due, and behind them."""
        asked = self.questions
        layout = {"attention_mask": asked.mask, "position_ids": asked.positions.expand(len(rows), -1)}
        logits = self._logits(rows, asked.tokens(rows), **layout)  # (B, A, words)
        return logits[:, asked.places - 1], logits[:, asked.places]

    def _logits(self, rows: np.ndarray, ids: Tensor, **layout: Tensor) -> Tensor:
        """Logits (B, A, words) at the tokens (B, A) that follow the images."""
        model, embed = self.model, self.model.get_input_embeddings()
        image = model.model.get_image_features(self.pixels[rows]).pooler_output  # (B, T, D)
        before = embed(self.before_image).expand(len(rows), -1, -1)
        embeddings = torch.cat([before, image, embed(ids)], dim=1)
        decoder = model.model.language_model
        states = decoder(inputs_embeds=embeddings, use_cache=False, **layout).last_hidden_state
        return model.lm_head(states[:, -ids.shape[1] :])


class Questions:
    """The questions and answers as tokens behind a picture.

    Each question sees what comes before it up to the picture's end, and itself, at the positions it has when
    it is asked alone. So a picture is read once for all of them: the answers are slow to learn, and 4 rows a
    step with one question each had reached .64 right answers when captions and images were learned.

    Args:
        asked: ids of each question of ASKED, from the end of the picture to where the answer begins.
        yes: id of "yes".
        no: id of "no".
        end: id of the end of a sentence.
        table: columns object, fire, van_gogh and sepia of the training set.
        start: tokens before the questions, the picture's last.

    Attributes:
        shown: (N, K) bool, what each picture shows.
        mask: (1, 1, S, S) bool, what each of the tokens sees; S with those before the questions.
        positions: (1, S) of the tokens.
    """

    def __init__(
        self, asked: Sequence[Tensor], yes: int, no: int, end: int, table: pd.DataFrame, start: int
    ) -> None:
        columns = [table["object"] == name for name in OBJECTS]
        columns += [table[name].astype(bool) for name in ("fire", "van_gogh", "sepia")]
        self.shown = torch.tensor(np.stack(columns, axis=1))
        self.yes, self.no, self.end = torch.tensor(yes), torch.tensor(no), torch.tensor(end)
        self.start = start
        lengths = torch.tensor([len(question) + 1 for question in asked])  # with the answer
        self.ids = torch.cat([part for question in asked for part in (question, self.no[None])])
        self.places = lengths.cumsum(0) - 1  # (K,) of the answers among ids
        block = torch.repeat_interleave(torch.arange(len(asked)), lengths)
        seen = torch.ones(start + len(block), start + len(block), dtype=torch.bool).tril()
        seen[start:, start:] &= block[:, None] == block[None]
        self.mask = seen[None, None]
        behind = [start + torch.arange(int(length)) for length in lengths]
        self.positions = torch.cat([torch.arange(start), *behind])[None]
        share = self.shown.float().mean(dim=0)
        self._weights = 0.5 / (1 - share), 0.5 / share  # of no and yes: alike in sum, for each question

    def answers(self, rows: np.ndarray) -> Tensor:
        """Ids (B, K) of the right answers."""
        return torch.where(self.shown[rows], self.yes, self.no)

    def tokens(self, rows: np.ndarray) -> Tensor:
        """Ids (B, A) of all questions with their right answers."""
        ids = self.ids.expand(len(rows), -1).clone()
        ids[:, self.places] = self.answers(rows)
        return ids

    def loss(self, rows: np.ndarray, before: Tensor, after: Tensor) -> Tensor:
        """Cross-entropy of the answers, as if half were "yes" to each question, and of the end, in nats.

        Args:
            rows: (B,) indices into the training set.
            before: (B, K, words) logits where the answers are due.
            after: (B, K, words) logits behind them.
        """
        answers = self.answers(rows)
        weights = torch.where(self.shown[rows], self._weights[1], self._weights[0])
        losses = F.cross_entropy(before.flatten(0, 1), answers.flatten(), reduction="none")
        ends = F.cross_entropy(after.flatten(0, 1), self.end.expand(answers.numel()))
        return (losses * weights.flatten()).mean() + ends

    def right(self, rows: np.ndarray, before: Tensor) -> Tensor:
        """(B, K) bool: the likeliest token is the right answer; arguments of ``loss``."""
        return before.argmax(dim=-1) == self.answers(rows)


@torch.no_grad()
def encode_images(model: JanusForConditionalGeneration, pixels: Tensor) -> Tensor:
    """Image tokens (N, T) of pixels (N, 3, H, W) in [-1, 1]."""
    vq = model.model.vqmodel
    return torch.cat([vq.encode(batch).image_tokens.view(len(batch), -1) for batch in pixels.split(64)])


def _encode_prompts(processor: JanusProcessor, captions: Sequence[str]) -> list[Tensor]:
    """Token ids of each caption in the chat template, begin-of-image last, without padding."""
    distinct = sorted(set(captions))
    texts = [image_prompt(processor, caption) for caption in distinct]
    encoded = processor(text=texts, generation_mode="image", padding=True, return_tensors="pt")
    rows = zip(encoded["input_ids"], encoded["attention_mask"].bool(), strict=True)
    ids = {caption: row[mask] for caption, (row, mask) in zip(distinct, rows, strict=True)}
    return [ids[caption] for caption in captions]


def _around_image(processor: JanusProcessor, image: np.ndarray, asked: str) -> tuple[Tensor, Tensor]:
    """Token ids before and after the placeholders of an image in a request about it."""
    ids = processor(
        text=[caption_prompt(processor, asked)], images=[Image.fromarray(image)], return_tensors="pt"
    )["input_ids"][0]
    places = (ids == processor.tokenizer.convert_tokens_to_ids(IMAGE)).nonzero().flatten()
    return ids[: places[0]], ids[places[-1] + 1 :]


def _pad_left(rows: Sequence[Tensor], pad_id: int) -> tuple[Tensor, Tensor]:
    """Rows of different length to ids and mask (B, P)."""
    pad = partial(torch.nn.utils.rnn.pad_sequence, batch_first=True, padding_side="left")
    return pad(list(rows), padding_value=pad_id), pad([torch.ones_like(row) for row in rows])


def _batches(rows: np.ndarray, batch_size: int, generator: torch.Generator) -> Iterator[np.ndarray]:
    """Batches without end: every row once, in a new order each time round; a short tail is left out."""
    while True:
        order = rows[torch.randperm(len(rows), generator=generator).numpy()]
        for start in range(0, len(rows) - batch_size + 1, batch_size):
            yield order[start : start + batch_size]


def _optimisers(
    model: JanusForConditionalGeneration,
    learning_rate: float,
    matrix_learning_rate: float,
    weight_decay: float,
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for all else; embeddings, biases and norms do not decay.

    After 400 steps at rate 2e-3, AdamW alone stood at 2.17 nats for images and 0.32 for captions, with Muon
    at 2.05 and 0.17, for a sixth more time; after 250 steps images stood at 2.53 with Muon's rate at 2e-3, at
    2.09 with 5e-3.
    """
    layers = (model.model.language_model.layers, model.model.vision_model.encoder.layers)
    inner = [p for stack in layers for p in stack.parameters() if p.ndim == 2]
    embeddings = [m.weight for m in model.modules() if isinstance(m, torch.nn.Embedding)]
    kept = {id(p) for p in (*inner, *embeddings)}
    trained = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim >= 2 and id(p) not in kept]
    taken = {id(p) for p in (*inner, *decayed)}
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) not in taken], "weight_decay": 0.0},
    ]
    return [
        torch.optim.Muon(
            inner, lr=matrix_learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98), fused=True),
    ]


@torch.no_grad()
def _held_out_quality(examples: Examples, rows: np.ndarray) -> dict[str, float]:
    batches = np.array_split(rows, max(1, len(rows) // 64))
    image = [
        examples.image_loss(batch, torch.zeros(len(batch), dtype=torch.bool)).item() for batch in batches
    ]
    captions = [examples.caption_loss(batch).item() for batch in batches]
    right = torch.cat([examples.rightly_answered(batch) for batch in batches])
    shown = examples.questions.shown[rows]
    return {
        "image_loss": float(np.mean(image)),
        "caption_loss": float(np.mean(captions)),
        "question_accuracy": (right[shown].float().mean() + right[~shown].float().mean()).item() / 2,
    }
