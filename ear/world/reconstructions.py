"""A contact sheet: held-out pictures, each beside what the image tokenizer makes of it."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ear.files import atomic_path
from ear.world.dataset import load_training_set
from ear.world.vq import load_vq, to_pixels

ROWS, PAIRS = 4, 4  # of pairs, in the sheet
ENLARGED, GAP = 2, 4  # screen pixels a pixel; pixels between pairs


@torch.no_grad()
def draw_sheet(world_folder: str | Path, vq_file: str | Path, held_out: int, path: str | Path) -> None:
    """Write the sheet of the first 16 held-out pictures, every object twice.

    Args:
        world_folder: what ``draw_training_set`` wrote.
        vq_file: what ``train_tokenizer`` wrote.
        held_out: the last pictures, which the tokenizer was not trained on.
        path: of the PNG.
    """
    images, _ = load_training_set(world_folder)
    shown = images[len(images) - held_out :][: ROWS * PAIRS]  # (N, 64, 64, 3) uint8
    vq = load_vq(vq_file)
    pixels = to_pixels(shown)
    tokens = vq.encode(pixels).image_tokens.view(len(shown), -1)
    again = vq.decode(tokens).clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    pairs = np.concatenate([shown, again.permute(0, 2, 3, 1).numpy()], axis=2)  # (N, 64, 128, 3)
    framed = np.pad(pairs, ((0, 0), (GAP, 0), (GAP, 0), (0, 0)), constant_values=255)
    rows = [
        np.concatenate(list(framed[start : start + PAIRS]), axis=1) for start in range(0, len(shown), PAIRS)
    ]
    sheet = np.pad(np.concatenate(rows), ((0, GAP), (0, GAP), (0, 0)), constant_values=255)
    sheet = sheet.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)
    with atomic_path(path) as partial:
        Image.fromarray(sheet).save(partial, format="PNG")
