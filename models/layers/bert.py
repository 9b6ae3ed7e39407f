"""Configurations of BERT-kind text encoders, as plain data."""

import json
from typing import Any

from transformers import AutoConfig, BertConfig, PretrainedConfig

from models.text import MAX_WORDS

SMALL_BERT = {
    "model_type": "bert",
    "vocab_size": 4096,
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "max_position_embeddings": MAX_WORDS,
    "initializer_range": 0.06,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def text_config(held: dict[str, Any] | None) -> PretrainedConfig:
    """The text encoder's configuration, from plain data."""
    return BertConfig() if held is None else AutoConfig.for_model(**held)


def plain(config: PretrainedConfig) -> dict[str, Any]:
    """The inverse, without the place on the disk that the encoder once came from."""
    held = json.loads(config.to_json_string(use_diff=False))
    held.pop("_name_or_path", None)
    return held
