"""Captions read word by word.  B captions; N_L words; E width of a word; C width of a state, both directions."""

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.text import Words


class WordEncoder(nn.Module):
    """Embedding, dropout, bidirectional LSTM."""

    def __init__(self, vocabulary: int, width: int, hidden: int, drop: float) -> None:
        """vocabulary: number of words; width: E; hidden: of one direction, C / 2; drop: of the embedding's values."""
        super().__init__()
        self.drop = drop
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.lstm = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)

    def start_from(self, vectors: tuple[Tensor, Tensor] | None) -> None:
        """vectors: of `models.vocabulary.read_vectors`; words without one keep their random start."""
        if vectors is not None:
            values, found = vectors
            with torch.no_grad():
                self.embedding.weight[found] = values[found]

    def forward(self, words: Words) -> tuple[Tensor, Tensor]:
        """words: the real ones first in each caption, at least one. Returns the states (B, N_L, C), 0 on padding, and
        the last of each direction (B, C), forward first."""
        embedded = dropout(self.embedding(words.ids), self.drop, self.training)  # (B, N_L, E)
        lengths = words.mask.sum(dim=1).cpu()
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        states, (last, _) = self.lstm(packed)
        states, _ = pad_packed_sequence(states, batch_first=True, total_length=words.ids.shape[1])
        return states, torch.cat([last[0], last[1]], dim=1)
