"""L-CAD against the original's numbers: luminance encoder and decoder, UNet, instance guidance, a step of sampling.

The UNet has its official size: it is filled once, 3.4 GB.
"""

import gc

import pytest
import torch
from parity import filled, fixture, keys

from models.lcad import original
from models.lcad.autoencoder import LuminanceEncoder, build_autoencoder, decode
from models.lcad.config import PAPER
from models.lcad.guidance import InstanceGuidance
from models.lcad.sampler import Denoiser, build_scheduler
from models.lcad.text_encoder import Context
from models.lcad.unet import build_unet

GAIN = 0.75


def public(prefix: str) -> dict[str, torch.Tensor]:
    """Of the public file, filled by the fixtures' rule."""
    return filled({name: shape for name, shape in keys("lcad").items() if name.startswith(prefix)}, GAIN)


def network(build, weights: dict[str, torch.Tensor], prefix: str) -> torch.nn.Module:
    """Without a copy of the weights."""
    with torch.device("meta"):
        built = build()
    own = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    built.load_state_dict(own, strict=True, assign=True)
    return built.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def luminance_encoder():
    g_encoder = "first_stage_model.g_encoder."
    unused = (f"{g_encoder}norm_out", f"{g_encoder}conv_out")
    tensors = {name: tensor for name, tensor in public(g_encoder).items() if not name.startswith(unused)}
    weights, known = original.luminance_encoder(tensors, PAPER)
    assert known == tensors.keys()
    return network(lambda: LuminanceEncoder(PAPER), weights, "luminance_encoder.")


@pytest.fixture(scope="module")
def unet():
    tensors = public("model.diffusion_model.")
    weights, known = original.prior(tensors, PAPER)
    assert known == tensors.keys()
    assert {name.removeprefix("unet."): list(t.shape) for name, t in weights.items()} == keys("lcad_unet_diffusers")
    del tensors
    built = network(lambda: build_unet(PAPER, reads_luminance=True), weights, "unet.")
    weights.clear()
    yield built
    del built
    gc.collect()


def gray(L: torch.Tensor) -> torch.Tensor:
    return L[None, None] / PAPER.gray_scale - 1


@torch.no_grad()
def test_luminance_encoder_and_decoder_are_the_original(luminance_encoder):
    held = fixture("lcad_autoencoder")
    maps = luminance_encoder(gray(held["L"]))
    assert len(maps) == 10
    for place, found in enumerate(maps):
        stride = max(1, found.shape[2] // 8)
        thinned = found[:, :: found.shape[1] // 8, ::stride, ::stride]
        torch.testing.assert_close(thinned, held[f"map_{place}"], atol=5e-4, rtol=0)
        checks = [found.mean(), found.std(correction=0), found.abs().mean(), found.min(), found.max()]
        torch.testing.assert_close(torch.stack(checks), held["checks"][place], atol=5e-4, rtol=0)

    tensors = public("first_stage_model.")
    tensors = {name: tensor for name, tensor in tensors.items() if "g_encoder" not in name}
    weights, known = original.prior(tensors, PAPER)
    assert known == tensors.keys()
    autoencoder = network(lambda: build_autoencoder(PAPER), weights, "autoencoder.")
    led, plain = decode(autoencoder, held["z"], maps), decode(autoencoder, held["z"])
    torch.testing.assert_close(led[:, :, ::2, ::2], held["rgb"], atol=5e-4, rtol=0)
    torch.testing.assert_close(plain[:, :, ::4, ::4], held["rgb_without_maps"], atol=5e-4, rtol=0)
    assert torch.equal(plain, autoencoder.decode(held["z"]).sample)
    moments = autoencoder.encode(held["rgb_in"]).latent_dist.parameters
    torch.testing.assert_close(moments, held["moments"], atol=2e-4, rtol=0)


@torch.no_grad()
def test_the_unet_is_the_original(unet):
    held = fixture("lcad_unet")
    for given, found in (("z", "eps"), ("z_second", "eps_second")):
        x = torch.cat([held[given], held["luminance_latent"]], dim=1)
        eps = unet(x, held["t"], encoder_hidden_states=held["context"]).sample
        torch.testing.assert_close(eps, held[found], atol=2e-4, rtol=0)


def spans(splits: list[int]) -> torch.Tensor:
    """Tokens of the phrases: the mark of the beginning stands before them, a comma between two."""
    starts = [0, *splits[:-1]]
    return torch.tensor([(start + 1, end) for start, end in zip(starts, splits, strict=True)])


@pytest.mark.parametrize("side", [4, 8])
def test_the_gradient_of_a_layer_is_the_original(side):
    held = fixture("lcad_guidance")
    scores, splits = held[f"scores_{side}"], held["splits"].tolist()
    masks = held["masks"].bool()
    batch = scores.unflatten(0, (2, 8))  # empty caption, caption
    ones = torch.ones(len(masks), dtype=torch.int64)
    published = InstanceGuidance(masks, ones, spans(splits), mean=True)
    gradient = published.gradient(batch)
    torch.testing.assert_close(gradient[1, :, :, : splits[-1]], held[f"gradient_{side}"], atol=1e-8, rtol=0)
    assert not gradient[0].any() and not gradient[1, :, :, splits[-1] :].any()
    torch.testing.assert_close(published(batch), batch - gradient)

    summed = InstanceGuidance(masks, ones, spans(splits)).gradient(batch)
    for start, end in spans(splits).tolist():
        of_one = 8 * side**2 * (end - start) * gradient[1, :, :, start:end]
        torch.testing.assert_close(summed[1, :, :, start:end], of_one, atol=1e-5, rtol=1e-5)
    assert summed.abs().max() > 0.5 > 0.01 > gradient.abs().max()


@torch.no_grad()
def test_a_step_of_sampling_is_the_original(unet, luminance_encoder):
    held = fixture("lcad_step")
    luminance = luminance_encoder(gray(held["L"]))[-1]
    contexts = Context(held["context"], None), Context(held["context_empty"], None)

    def step(weight: float | None, reuse: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        instances = None
        if weight is not None:
            places = torch.zeros(len(held["masks"]), dtype=torch.int64)
            tokens = spans(held["splits"].tolist())
            instances = InstanceGuidance(held["masks"].bool(), places, tokens, weight, mean=True)
        denoise = Denoiser(unet, luminance, *contexts, float(held["guidance"]), instances, reuse)
        scheduler = build_scheduler("ddim", int(held["ddim_steps"]))
        assert scheduler.timesteps.flip(0).tolist() == held["ddim_timesteps"].tolist()
        time = held["t"][0]
        assert held["ddim_timesteps"][held["index"]] == time
        taken = scheduler.step(denoise(held["z"], time), time, held["z"])
        return taken.prev_sample, taken.pred_original_sample

    def check(found: torch.Tensor, name: str) -> None:
        torch.testing.assert_close(found, held[name], atol=1e-4, rtol=0)

    plain = step(None)
    check(plain[0], "x_prev_plain")
    check(plain[1], "pred_x0_plain")
    published = step(1.0)
    check(published[0], "x_prev")
    check(published[1], "pred_x0")
    check(step(1000.0)[0], "x_prev_lambda1000")
    check(step(1000.0, reuse=False)[0], "x_prev_lambda1000_self_attention_recomputed")
    torch.testing.assert_close(step(0.0)[0], plain[0], atol=1e-5, rtol=0)  # both passes, nothing changed
