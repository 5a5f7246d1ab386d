"""Families whose image codes are words of the language model's vocabulary."""

from torch import Tensor
from torch.nn import functional

from ear.models.backbone import Backbone


class OneVocabulary(Backbone):
    """Codes are the words ``first_code`` … ``first_code`` + V − 1: embedded and predicted as words are.

    Logits are over codes alone, since images are drawn from these.
    """

    first_code: int

    def image_ids(self, codes: Tensor) -> Tensor:
        return codes + self.first_code

    def embed_columns(self, ids: Tensor) -> Tensor:
        return self.model.get_input_embeddings()(ids)

    def image_logits(self, hidden: Tensor) -> Tensor:
        words = self.model.get_output_embeddings().weight
        return functional.linear(hidden, words[self.first_code : self.first_code + self.codebook_size])
