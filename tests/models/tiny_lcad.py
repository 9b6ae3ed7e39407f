"""L-CAD at tiny sizes, with pictures, captions and masks to paint."""

import torch

import models
from datasets.batch import Batch
from datasets.masks import Instances
from models.text import CaptionTokenizer

BERT = {
    "model_type": "bert",
    "vocab_size": 4096,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 80,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
TINY = {
    "img_size": 16,
    "autoencoder_widths": (4, 8, 12),
    "unet_widths": (16, 24),
    "heads": 2,
    "norm_groups": 4,
    "text_config": BERT,
    "steps": 3,
}
CLIP = {
    "model_type": "clip_text_model",
    "vocab_size": 60,
    "hidden_size": 8,
    "num_hidden_layers": 12,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 77,
    "bos_token_id": 58,
    "eos_token_id": 59,
}
# With shortcuts where the public files have them, so that their names are the same.
PUBLIC = {
    "img_size": 64,
    "autoencoder_widths": (4, 8, 16, 16),
    "unet_widths": (8, 16, 32, 32),
    "heads": 2,
    "norm_groups": 4,
    "text_config": CLIP,
    "steps": 2,
}
CAPTIONS = ["a red car and a blue bus", "a tree", "the green dog sits beside a yellow umbrella"]


def tiny(stage: str = "latent", seed: int = 0, name: str = "lcad_small", **numbers) -> models.System:
    """Every tensor at random, so that nothing is zero by its start."""
    torch.manual_seed(seed)
    system = models.create_model(name, CaptionTokenizer.from_vocabulary(), stage=stage, **TINY | numbers)
    with torch.no_grad():
        for parameter in system.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=1.5 / parameter[0].numel() ** 0.5)
    return system.eval()


def batch_of(system: models.System, captions: list[str] = CAPTIONS, instances: Instances | None = None) -> Batch:
    side = system.img_size
    generator = torch.Generator().manual_seed(5)
    rgb = torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8, generator=generator)[: len(captions)]
    return Batch.plain(rgb, captions, system.tokenizer(captions), None, instances).to(torch.device("cpu"))


def some_instances(side: int = 16) -> Instances:
    """Of the first caption "red car" and "blue bus", of the third "the green dog"."""
    masks = torch.zeros(3, side, side, dtype=torch.bool)
    masks[0, :, : side // 2], masks[1, :, side // 2 :], masks[2, side // 2 :] = True, True, True
    return Instances(masks, torch.tensor([0, 0, 2]), torch.tensor([[2, 9], [16, 24], [0, 13]]))
