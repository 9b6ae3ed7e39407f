"""Grounding DINO and SAM with few weights, drawn at random, as folders in transformers' layout."""

from pathlib import Path

import torch
from transformers import (
    BertTokenizerFast,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    SamConfig,
    SamImageProcessor,
    SamModel,
    SamProcessor,
)

from models.text import BERT_VOCABULARY

SIDE = 64  # of the square that this SAM sees


def save_grounding_dino(folder: Path) -> Path:
    """Its tokenizer is BERT's, as the published network's is."""
    torch.manual_seed(0)
    text = {"model_type": "bert", "vocab_size": 30_522, "hidden_size": 16, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 64}
    vision = {"model_type": "swin", "image_size": 32, "window_size": 2, "embed_dim": 8, "depths": [1, 1, 1, 1]}
    vision |= {"num_heads": [1, 1, 2, 2], "out_features": ["stage2", "stage3", "stage4"], "out_indices": [2, 3, 4]}
    config = GroundingDinoConfig(
        backbone_config=vision,
        text_config=text,
        num_queries=12,
        encoder_layers=1,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=16,
        decoder_attention_heads=2,
        d_model=32,
        max_text_len=64,
        disable_custom_kernels=True,
    )
    network = GroundingDinoForObjectDetection(config)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
    tokenizer = BertTokenizerFast(vocab=str(BERT_VOCABULARY), do_lower_case=True)
    pictures = GroundingDinoImageProcessor(size={"shortest_edge": 96, "longest_edge": 144})
    network.save_pretrained(folder)
    GroundingDinoProcessor(pictures, tokenizer).save_pretrained(folder)
    return folder


def save_sam(folder: Path) -> Path:
    torch.manual_seed(0)
    vision = {"hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": SIDE, "patch_size": 8, "window_size": 2, "global_attn_indexes": [0], "mlp_dim": 16}
    vision |= {"num_pos_feats": 8}
    prompt = {"hidden_size": 16, "image_size": SIDE, "patch_size": 8, "mask_input_channels": 4}
    decoder = {"hidden_size": 16, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
    network = SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
    network.save_pretrained(folder)
    sides = {"height": SIDE, "width": SIDE}
    SamProcessor(SamImageProcessor(size={"longest_edge": SIDE}, pad_size=sides)).save_pretrained(folder)
    return folder
