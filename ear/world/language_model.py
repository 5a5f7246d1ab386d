"""Training of the mini backbones: text → image, image → caption and yes/no questions, in fixed steps."""

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ear.models.backbone import left_padded, unpadded
from ear.models.chat_format import DESCRIBE, NO, YES, question
from ear.models.janus import Janus
from ear.models.liquid import Liquid
from ear.workflow.progress import progress
from ear.world.scenes import OBJECTS
from ear.world.sentences import FIRE_PHRASE, SEPIA_PHRASE, STYLE_PHRASE
from ear.world.vq import loss_curve, rate_at, to_pixels

IGNORED = -100  # label of positions without loss
ASKED = (*OBJECTS, FIRE_PHRASE, STYLE_PHRASE, SEPIA_PHRASE)  # K things a picture is asked for


def train_language_model(
    backbone: Janus | Liquid,
    images: np.ndarray,
    table: pd.DataFrame,
    settings: Mapping[str, Any],
    seed: int,
) -> tuple[dict[str, float], pd.DataFrame]:
    """Train everything but the image tokenizer, in place; learning rates fall to zero along a cosine.

    Args:
        backbone: its image tokenizer is trained.
        images: (N, 64, 64, 3) uint8; the last ``held_out`` are not trained on.
        table: captions and descriptions of the images, and what they show, in their order.
        settings: the recipe's section ``language_model``, which schemas/recipe.schema.json describes.
        seed: seed of batches and dropout.

    Returns:
        Metrics of the held-out rows (image_loss and caption_loss in nats a token; question_accuracy,
        in which questions with either answer count half) and the loss curve (step, stage, loss).
    """
    to = SimpleNamespace(**settings)
    model = backbone.model
    examples = Examples(backbone, images, table)
    trained, kept = np.split(np.arange(len(images)), [len(images) - to.held_out])
    model.requires_grad_(True)
    examples.vq.requires_grad_(False)
    optimisers = _optimisers(backbone, to.learning_rate, to.matrix_learning_rate, to.weight_decay)
    peaks = [(group, group["lr"]) for optimiser in optimisers for group in optimiser.param_groups]
    generator = torch.Generator().manual_seed(seed)
    sizes = (to.batch_size, to.caption_batch_size, to.question_batch_size)
    image_batches, caption_batches, question_batches = (_batches(trained, size, generator) for size in sizes)
    losses = []
    for step in progress(range(to.steps), desc=f"training the mini {backbone.family}", unit="step"):
        for group, peak in peaks:
            group["lr"] = rate_at(step, to.steps, to.warmup_steps, peak)
        rows = next(image_batches)
        dropped = torch.rand(len(rows), generator=generator) < to.prompt_dropout
        image = examples.image_loss(rows, dropped)
        caption = examples.caption_loss(next(caption_batches))
        question = examples.question_loss(next(question_batches))
        model.zero_grad(set_to_none=True)
        (image + to.caption_weight * (caption + question)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        losses.append({"image": image.item(), "caption": caption.item(), "question": question.item()})
    model.eval()
    return _held_out_quality(examples, kept), loss_curve(losses)


class Examples:
    """The training set as token ids, and the three losses over rows (B,) of it, in nats.

    All questions about a picture stand behind it at once: each sees what comes before it up to the picture's
    end, and itself, at the positions it has when it is asked alone. A picture is read once for all of them:
    with one question each, answers are learned far more slowly than captions.

    Args:
        backbone: prompts and questions are encoded by it exactly as at inference.
        images: (N, 64, 64, 3) uint8.
        table: with the columns caption, description, object, fire, van_gogh and sepia.

    Attributes:
        vq: the image tokenizer.
        shown: (N, K) bool, what of ASKED each picture shows.
    """

    def __init__(self, backbone: Janus | Liquid, images: np.ndarray, table: pd.DataFrame) -> None:
        tokenizer = backbone.tokenizer
        self.backbone = backbone
        self._pixels = to_pixels(images)
        if isinstance(backbone, Janus):
            self.vq: Any = backbone.model.model.vqmodel
        else:
            self.vq = backbone.image_tokenizer.vq
        with torch.no_grad():
            tokens = [
                self.vq.encode(part).image_tokens.view(len(part), -1) for part in self._pixels.split(64)
            ]
        self._tokens = torch.cat(tokens)  # (N, T)
        distinct = sorted(set(table["caption"]))
        prompts = dict(zip(distinct, unpadded(backbone.encode(distinct, "chat")), strict=True))
        self._prompts = [prompts[caption] for caption in table["caption"]]
        self._before_image, self._after_image = self._around_image(images[0], DESCRIBE)
        answers = tokenizer(table["description"].tolist(), add_special_tokens=False)["input_ids"]
        self._answers = [torch.tensor([*answer, tokenizer.eos_token_id]) for answer in answers]

        columns = [table["object"] == name for name in OBJECTS]
        columns += [table[name].astype(bool) for name in ("fire", "van_gogh", "sepia")]
        self.shown = torch.tensor(np.stack(columns, axis=1))
        self._yes, self._no = (torch.tensor(tokenizer.convert_tokens_to_ids(word)) for word in (YES, NO))
        self._end = torch.tensor(tokenizer.eos_token_id)
        share = self.shown.float().mean(dim=0)
        self._weights = 0.5 / (1 - share), 0.5 / share  # of no and yes: alike in sum, for each question
        asked = [self._around_image(images[0], question(thing))[1] for thing in ASKED]
        start = len(self._before_image) + self._tokens.shape[1]  # tokens before the questions
        lengths = torch.tensor([len(each) + 1 for each in asked])  # with the answer
        self._asked = torch.cat([part for each in asked for part in (each, self._no[None])])  # (A,)
        self._places = lengths.cumsum(0) - 1  # (K,) of the answers among them
        block = torch.repeat_interleave(torch.arange(len(asked)), lengths)
        seen = torch.ones(start + len(block), start + len(block), dtype=torch.bool).tril()
        seen[start:, start:] &= block[:, None] == block[None]
        self._mask = seen[None, None]  # (1, 1, S, S) what each of the tokens sees; S with those before
        behind = [start + torch.arange(int(length)) for length in lengths]
        self._positions = torch.cat([torch.arange(start), *behind])[None]  # (1, S)

    def image_loss(self, rows: np.ndarray, dropped: Tensor) -> Tensor:
        """Cross-entropy of the image tokens given their prompts, a token.

        Args:
            rows: (B,) indices into the training set.
            dropped: (B,) bool; these rows become their unconditional twins.
        """
        backbone, tokens = self.backbone, self._tokens[rows]  # (B, T)
        prompts = [
            backbone.unconditional(self._prompts[row]) if emptied else self._prompts[row]
            for row, emptied in zip(rows, dropped.tolist(), strict=True)
        ]
        prompt = left_padded(prompts, backbone.pad_id)  # (B, P)
        image = backbone.embed_image(tokens[:, :-1])
        embeddings = torch.cat([backbone.embed_text(prompt.ids), image], dim=1)  # (B, P + T − 1, D)
        # Without padding no mask: the faster causal kernel.
        mask = prompt.mask
        seen = None if bool(mask.all()) else F.pad(mask, (0, tokens.shape[1] - 1), value=1)
        states = backbone.language_model(inputs_embeds=embeddings, attention_mask=seen, use_cache=False)
        states = states.last_hidden_state[:, -tokens.shape[1] :]
        # One vocabulary: codes are predicted among all words.
        head = backbone.image_logits if isinstance(backbone, Janus) else backbone.model.lm_head
        return F.cross_entropy(head(states).flatten(0, 1), backbone.image_ids(tokens).flatten())

    def caption_loss(self, rows: np.ndarray) -> Tensor:
        """Cross-entropy of the descriptions given the images and the request for them, a token."""
        answers = [self._answers[row] for row in rows]
        # Padding on the right of a causal model is never seen by what stands before it: no mask is needed.
        ids = pad_sequence(answers, batch_first=True, padding_value=self.backbone.pad_id)  # (B, A)
        labels = pad_sequence(answers, batch_first=True, padding_value=IGNORED)
        after = self._after_image.expand(len(rows), -1)
        logits = self._logits(rows, torch.cat([after, ids[:, :-1]], dim=1))[:, -ids.shape[1] :]
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)

    def question_loss(self, rows: np.ndarray) -> Tensor:
        """Cross-entropy of the answers, as if half were "yes" to each question, and of their ends."""
        before, after = self._question_logits(rows)
        answers = self._right_answers(rows)
        weights = torch.where(self.shown[rows], self._weights[1], self._weights[0])
        losses = F.cross_entropy(before.flatten(0, 1), answers.flatten(), reduction="none")
        ends = F.cross_entropy(after.flatten(0, 1), self._end.expand(answers.numel()))
        return (losses * weights.flatten()).mean() + ends

    def rightly_answered(self, rows: np.ndarray) -> Tensor:
        """(B, K) bool: the likeliest token is the right answer."""
        return self._question_logits(rows)[0].argmax(dim=-1) == self._right_answers(rows)

    def _right_answers(self, rows: np.ndarray) -> Tensor:
        return torch.where(self.shown[rows], self._yes, self._no)  # (B, K)

    def _question_logits(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Logits (B, K, words) where the answers are due, and behind them."""
        ids = self._asked.expand(len(rows), -1).clone()
        ids[:, self._places] = self._right_answers(rows)
        layout = {"attention_mask": self._mask, "position_ids": self._positions.expand(len(rows), -1)}
        logits = self._logits(rows, ids, **layout)  # (B, A, words)
        return logits[:, self._places - 1], logits[:, self._places]

    def _logits(self, rows: np.ndarray, ids: Tensor, **layout: Tensor) -> Tensor:
        """Logits (B, A, words) at the tokens (B, A) that follow the images."""
        backbone = self.backbone
        if isinstance(backbone, Janus):
            image = backbone.model.model.get_image_features(self._pixels[rows]).pooler_output  # (B, T, D)
        else:
            image = backbone.embed_image(self._tokens[rows])
        before = backbone.embed_text(self._before_image).expand(len(rows), -1, -1)
        embeddings = torch.cat([before, image, backbone.embed_text(ids)], dim=1)
        states = backbone.language_model(
            inputs_embeds=embeddings, use_cache=False, **layout
        ).last_hidden_state
        return backbone.model.lm_head(states[:, -ids.shape[1] :])

    def _around_image(self, image: np.ndarray, asked: str) -> tuple[Tensor, Tensor]:
        """Token ids before and after the placeholders or codes of an image in a request about it."""
        backbone = self.backbone
        ids = backbone.question_inputs(asked, [Image.fromarray(image)])["input_ids"][0]
        if isinstance(backbone, Janus):
            places = (ids == backbone.model.config.image_token_id).nonzero().flatten()
        else:
            places = (ids >= backbone.first_code).nonzero().flatten()
        return ids[: places[0]], ids[places[-1] + 1 :]


def _batches(rows: np.ndarray, batch_size: int, generator: torch.Generator) -> Iterator[np.ndarray]:
    """Batches without end: every row once, in a new order each time round; a short tail is left out."""
    while True:
        order = rows[torch.randperm(len(rows), generator=generator).numpy()]
        for start in range(0, len(rows) - batch_size + 1, batch_size):
            yield order[start : start + batch_size]


def _optimisers(
    backbone: Janus | Liquid,
    learning_rate: float,
    matrix_learning_rate: float,
    weight_decay: float,
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for all else; embeddings, biases and norms do not decay.

    After 400 steps at rate 2e-3, AdamW alone stood at 2.17 nats for images and 0.32 for captions, with Muon
    at 2.05 and 0.17, for a sixth more time.
    """
    model = backbone.model
    layers: list[Any] = [backbone.language_model.layers]
    layers += [model.model.vision_model.encoder.layers] if isinstance(backbone, Janus) else []
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
    shown = examples.shown[rows]
    return {
        "image_loss": float(np.mean(image)),
        "caption_loss": float(np.mean(captions)),
        "question_accuracy": (right[shown].float().mean() + right[~shown].float().mean()).item() / 2,
    }
