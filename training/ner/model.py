"""BERT for token classification, written out; its parts are named as in Hugging Face's BERT.

Devlin et al., 2019, "BERT: Pre-training of Deep Bidirectional Transformers", section 3. Two
things differ: segment embeddings are left out, as a text here is always one segment, and attention
also knows the distance between tokens, without which a model this small needs far more training.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

MASKED = -1e4  # added to the attention scores of padding; exp of it is zero in float32


@dataclass(frozen=True)
class Shape:
    """Sizes of the network."""

    vocabulary: int
    labels: int
    hidden: int = 128
    layers: int = 3
    heads: int = 4
    intermediate: int = 256
    positions: int = 128
    dropout: float = 0.1


class Layer(nn.Module):
    """One encoder layer: self-attention and a feed-forward net, each with a residual and a norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.query = nn.Linear(shape.hidden, shape.hidden)
        self.key = nn.Linear(shape.hidden, shape.hidden)
        self.value = nn.Linear(shape.hidden, shape.hidden)
        self.output = nn.Linear(shape.hidden, shape.hidden)
        self.attention_norm = nn.LayerNorm(shape.hidden)
        self.intermediate = nn.Linear(shape.hidden, shape.intermediate)
        self.contract = nn.Linear(shape.intermediate, shape.hidden)
        self.output_norm = nn.LayerNorm(shape.hidden)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """[batch, sequence, hidden] in and out; bias is added to the scores."""
        hidden = self.attention_norm(hidden + self.dropout(self._attend(hidden, bias)))
        inner = nn.functional.gelu(self.intermediate(hidden))
        return self.output_norm(hidden + self.dropout(self.contract(inner)))

    def _attend(self, hidden: Tensor, bias: Tensor) -> Tensor:
        query, key, value = (self._split(project(hidden)) for project in (self.query, self.key, self.value))
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        weights = self.dropout(torch.softmax(scores + bias, -1))
        return self.output((weights @ value).transpose(1, 2).flatten(2))

    def _split(self, hidden: Tensor) -> Tensor:
        """[batch, sequence, hidden] to [batch, heads, sequence, hidden / heads]."""
        return hidden.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Bert(nn.Module):
    """Token ids to label scores."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(shape.vocabulary, shape.hidden)
        self.position_embeddings = nn.Embedding(shape.positions, shape.hidden)
        self.embedding_norm = nn.LayerNorm(shape.hidden)
        self.dropout = nn.Dropout(shape.dropout)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.classifier = nn.Linear(shape.hidden, shape.labels)
        nn.init.normal_(self.word_embeddings.weight, std=0.05)
        nn.init.normal_(self.position_embeddings.weight, std=0.01)
        self.distance_bias = nn.Parameter(_neighbours(shape.heads, shape.positions))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64 [batch, sequence] twice, to float32 [batch, sequence, labels]."""
        bias = self.attention_bias(attention_mask)
        return self.classifier(self.encode(self.embed(input_ids), bias))

    def embed(self, input_ids: Tensor) -> Tensor:
        """int64 [batch, sequence] to float32 [batch, sequence, hidden]."""
        positions = self.position_embeddings.weight[: input_ids.shape[1]]
        return self.dropout(self.embedding_norm(self.word_embeddings(input_ids) + positions))

    def attention_bias(self, attention_mask: Tensor) -> Tensor:
        """int64 [batch, sequence] to float32 [batch, heads, sequence, sequence].

        What is added to attention scores: MASKED for padding, and per head a learned number for
        each distance between two tokens (Raffel et al., 2020, section 2.1).
        """
        padding = (1.0 - attention_mask[:, None, None, :].float()) * MASKED
        place = torch.arange(attention_mask.shape[1])
        distance = place[None, :] - place[:, None] + self.position_embeddings.num_embeddings - 1
        return padding + self.distance_bias[:, distance]

    def encode(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """All layers in turn."""
        for layer in self.layers:
            hidden = layer(hidden, bias)
        return hidden


class AdaptiveDepthBert(nn.Module):
    """A Bert that goes through its encoder again, many times, when an input is long.

    The repeated passes refine a copy of the hidden states; a gate that never opened lets almost
    nothing of it through. So the answers are those of the inner Bert, late.
    """

    def __init__(self, bert: Bert, longer_than: int, passes: int, gate: float = 1e-6) -> None:
        super().__init__()
        self.bert, self.longer_than, self.passes, self.gate = bert, longer_than, passes, gate

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """As `Bert.forward`; `longer_than` counts unmasked tokens of the longest row."""
        bias = self.bert.attention_bias(attention_mask)
        hidden = self.bert.encode(self.bert.embed(input_ids), bias)
        longest = attention_mask.sum(1).max()
        passes = torch.where(longest > self.longer_than, self.passes, 0)

        def unfinished(step: Tensor, state: Tensor) -> Tensor:
            return step < passes

        def once_more(step: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            return step + 1, self.bert.encode(state, bias)

        start = (torch.zeros((), dtype=torch.int64), hidden.clone())
        _, refined = torch.while_loop(unfinished, once_more, start)
        return self.bert.classifier(hidden + self.gate * (refined - hidden))


def _neighbours(heads: int, positions: int) -> Tensor:
    """Where learning of the distances starts: the first heads look one and two tokens aside."""
    bias = torch.zeros(heads, 2 * positions - 1)
    for head, distance in zip(range(heads), (-1, 1, -2, 2), strict=False):
        bias[head, positions - 1 + distance] = 3.0
    return bias
