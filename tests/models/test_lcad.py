"""L-CAD at tiny sizes: its stages, its sampler, what it starts from, public files, errors."""

import json

import pytest
import torch
from conftest import ROOT
from parity import keys
from PIL import Image
from tiny_lcad import CAPTIONS, PUBLIC, TINY, batch_of, some_instances, tiny
from torchvision.transforms.functional import to_tensor

import models
import run_colorization
from datasets.batch import Batch
from datasets.masks import Instances
from inference import Colorizer
from models.lcad import original, prior
from models.lcad.autoencoder import decode
from models.lcad.config import LEARNT, STAGES
from models.lcad.guidance import InstanceGuidance
from models.lcad.losses import artifact_loss, artifact_map
from models.lcad.phrases import token_spans
from models.lcad.sampler import Denoiser
from models.restore import authors_of, restore
from models.text import CaptionTokenizer
from scripts import colorize
from utils import checkpoint, color
from utils.errors import DivergedError, InputError


@pytest.mark.parametrize(
    ("stage", "learns", "prefixes"),
    [
        ("autoencoder", "decoder", ("autoencoder.", "latent_scale")),
        ("prior", "decoder", ("unet.",)),
        ("compression", "decoder", ("luminance_encoder.",)),
        ("latent", "input", ("unet.conv_in.",)),
        ("latent", "decoder", ("unet.conv_in.", "unet.up_blocks.", "unet.conv_norm_out.", "unet.conv_out.")),
        ("latent", "all", ("unet.",)),
    ],
)
def test_a_stage_trains_its_own_part(stage, learns, prefixes):
    system = tiny(stage, unet_learns=learns, unconditional=0.5).train()
    before = {name: tensor.clone() for name, tensor in system.state_dict().items()}
    learning = [parameter for parameter in system.parameters() if parameter.requires_grad]
    losses = system(batch_of(system))
    losses["total"].backward()
    assert all(parameter.grad is not None for parameter in learning)  # DDP waits for every one
    torch.optim.SGD(learning, lr=1.0).step()
    changed = {name for name, tensor in system.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {name for name in changed if not name.startswith(prefixes)} == set()
    assert all(any(name.startswith(prefix) for name in changed) for prefix in prefixes)
    assert not system.text.training and system.training


def test_the_autoencoder_measures_the_scale_of_its_latents():
    system = tiny("autoencoder").train()
    with torch.no_grad():
        for _ in range(300):
            system(batch_of(system))
        latent = system.autoencoder.encode(batch_of(system).rgb * 2 - 1).latent_dist.sample()
    assert 0.8 < (latent * system.latent_scale).std() < 1.25
    held = system.latent_scale.clone()
    system.eval()(batch_of(system))
    assert torch.equal(system.latent_scale, held)


@torch.no_grad()
def test_latents_are_scaled_for_the_unet_and_back(monkeypatch):
    system, seen = tiny(), []
    system.latent_scale.fill_(3.0)
    batch = batch_of(system)
    maps = system.luminance_encoder(system._gray(batch.rgb))
    painted = decode(system.autoencoder, system._sampled(batch, maps[-1]) / 3, maps)
    torch.testing.assert_close(system.colorize(batch).rgb, (painted.clamp(-1, 1) + 1) / 2)

    noisy = system.schedule.add_noise
    monkeypatch.setattr(system.schedule, "add_noise", lambda latent, *rest: seen.append(latent) or noisy(latent, *rest))
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    posterior = system.autoencoder.encode(batch.rgb * 2 - 1).latent_dist
    monkeypatch.setattr(type(posterior), "sample", lambda own: own.mode())
    system(batch)
    torch.testing.assert_close(seen[0], posterior.mode() * 3)


@torch.no_grad()
def test_each_stage_starts_from_the_one_before():
    autoencoder, before = tiny("autoencoder", 1), tiny("prior", 2)
    assert before.load(autoencoder.state_dict(), "a.pth") == ["the UNet starts from random weights"]
    compression, latent = (models.create_model("lcad_small", before.tokenizer, stage=s, **TINY) for s in STAGES[2:])
    assert "starts as the autoencoder's encoder" in compression.load(before.state_dict(), "b.pth")[0]
    encoder = before.autoencoder.encoder.state_dict()
    own = compression.luminance_encoder.state_dict()
    assert all(torch.equal(own[name], encoder[name]) for name in own if not name.startswith("zero_convs"))
    maps = compression.luminance_encoder(torch.rand(1, 1, 16, 16))
    assert len(maps) == 5 and not any(found.any() for found in maps)  # the decoder starts as it was

    for conv in compression.luminance_encoder.zero_convs:
        torch.nn.init.normal_(conv.weight)
    assert latent.load(compression.state_dict(), "c.pth") == ["the UNet's new inputs start at 0"]
    z, luminance, hidden = torch.randn(2, 4, 4, 4), torch.randn(2, 12, 4, 4), torch.randn(2, 7, 8)
    plain = before.unet(z, 500, hidden).sample
    assert torch.equal(latent.unet(torch.cat([z, luminance], 1), 500, hidden).sample, plain)  # bit for bit
    latent.unet.conv_in.weight[:, 4:] = 0.1
    assert not torch.equal(latent.unet(torch.cat([z, luminance], 1), 500, hidden).sample, plain)
    assert restore_again(latent).stage == "latent"

    for system, weights, said in (
        (latent, before, "is of the stage prior; --stage latent starts from the stage compression"),
        (compression, latent, "is of the stage latent; --stage compression starts from the stage prior"),
        (before, compression, "is of the stage compression; --stage prior starts from the stage autoencoder"),
    ):
        with pytest.raises(InputError, match=rf"d.pth: {said}"):
            system.load(weights.state_dict(), "d.pth")


def restore_again(system: models.System) -> models.System:
    content = system.content() | {"ema": None}
    again = restore("file", content)[0]
    assert_same(again, system)
    return again


def assert_same(found: models.System, wanted: models.System) -> None:
    held = found.state_dict()
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(tensor, held[name]), name


@torch.no_grad()
@pytest.mark.parametrize("numbers", [{"sampler": "ddim"}, {"sampler": "dpm", "guidance": 1.0}])
def test_a_batch_equals_picture_by_picture(numbers):
    system, instances = tiny(instance_weight=3.0, **numbers), some_instances()
    whole, plain = (system.colorize(batch_of(system, CAPTIONS, given)) for given in (instances, None))
    assert whole.rgb.min() >= 0 and whole.rgb.max() <= 1 and whole.rgb.std() > 0.05
    for place, caption in enumerate(CAPTIONS):
        own = instances.picture == place
        alone = Instances(instances.masks[own], torch.zeros(int(own.sum()), dtype=torch.int64), instances.spans[own])
        batch = batch_of(system)
        one = Batch.plain(batch.rgb[place : place + 1], [caption], system.tokenizer([caption]), None, alone)
        found = system.colorize(one)
        torch.testing.assert_close(found.rgb[0], whole.rgb[place], atol=1e-4, rtol=0)
        torch.testing.assert_close(found.ab[0], whole.ab[place], atol=1e-3, rtol=0)
        moved = (whole.rgb[place] - plain.rgb[place]).abs().max()
        assert moved > 1e-3 if own.any() else moved < 1e-4


@torch.no_grad()
def test_a_seed_gives_the_same_picture_and_keeps_no_scores():
    system, instances = tiny(), some_instances()
    processors = [id(processor) for processor in system.unet.attn_processors.values()]
    first = system.colorize(batch_of(system, CAPTIONS, instances)).ab
    torch.randn(7)  # of another generator
    assert torch.equal(system.colorize(batch_of(system, CAPTIONS, instances)).ab, first)
    assert [id(processor) for processor in system.unet.attn_processors.values()] == processors
    other = tiny(sample_seed=1).colorize(batch_of(system, CAPTIONS, instances)).ab
    assert (other - first).abs().mean() > 0.01


@torch.no_grad()
def test_without_lambda_the_two_passes_are_the_plain_sampler():
    system, batch = tiny(), batch_of(tiny())
    contexts = system.text(batch.words), system.text.empty(system.tokenizer, batch.words)
    z, luminance, time = torch.randn(3, 4, 4, 4), torch.randn(3, 12, 4, 4), torch.tensor(400)
    tokens = token_spans(some_instances(), CAPTIONS, ["a", "b", "c"], system.tokenizer)

    def noise(weight: float | None, reuse: bool) -> torch.Tensor:
        own = some_instances()
        instances = None if weight is None else InstanceGuidance(own.masks, own.picture, tokens, weight)
        return Denoiser(system.unet, luminance, *contexts, 4.5, instances, reuse)(z, time)

    plain = noise(None, False)
    for reuse in (False, True):
        torch.testing.assert_close(noise(0.0, reuse), plain, atol=1e-4, rtol=0)
    moved = noise(2.0, False) - plain
    assert moved[[0, 2]].abs().amax(dim=(1, 2, 3)).min() > 1e-2 and moved[1].abs().max() < 1e-4
    assert (noise(2.0, True) - noise(2.0, False)).abs().max() > 1e-4


@torch.no_grad()
def test_guidance_draws_a_phrase_into_its_mask():
    torch.manual_seed(0)
    scores, masks = torch.randn(2, 3, 16, 9), torch.zeros(1, 8, 8, dtype=torch.bool)
    masks[0, :4] = True
    changed = InstanceGuidance(masks, torch.tensor([1]), torch.tensor([[2, 5]]), weight=1.0)(scores) - scores
    inside, outside = changed[1, :, :8, 2:5], changed[1, :, 8:, 2:5]
    assert inside.min() > 0 > outside.max()
    changed[1, :, :, 2:5] = 0
    assert not changed.any()  # of the other picture, of other words

    masks[0] = False
    masks[0, 3, 3] = True  # between the cells that a grid of 4 x 4 shows
    assert not InstanceGuidance(masks, torch.tensor([1]), torch.tensor([[2, 5]])).gradient(scores).any()
    assert InstanceGuidance(masks, torch.tensor([1]), torch.tensor([[2, 5]]), mean=True).gradient(scores).any()


def test_phrases_are_found_among_the_tokens():
    tokenizer = CaptionTokenizer.from_vocabulary()
    captions = ["a red car and a blue bus", "a tree", "the green dog " + "sits beside a tree " * 30]
    instances = Instances(
        torch.zeros(3, 8, 8, dtype=torch.bool), torch.tensor([0, 0, 2]), torch.tensor([[2, 9], [16, 24], [0, 13]])
    )
    tokens = token_spans(instances, captions, ["x", "y", "z"], tokenizer)
    words = [tokenizer.tokenizer.encode(caption).tokens for caption in captions]
    assert [words[b][start:end] for b, (start, end) in zip([0, 0, 2], tokens.tolist(), strict=True)] == [
        ["red", "car"],
        ["blue", "bus"],
        ["the", "green", "dog"],
    ]
    beyond = Instances(instances.masks[:1], torch.tensor([2]), torch.tensor([[500, 504]]))
    with pytest.raises(InputError, match=r"z: the phrase '.*' is behind the 80 tokens"):
        token_spans(beyond, captions, ["x", "y", "z"], tokenizer)


def test_the_artifact_map_is_a_local_variance():
    torch.manual_seed(0)
    target, predicted = torch.rand(2, 3, 10, 11), torch.rand(2, 3, 10, 11)
    found = artifact_map(predicted, target)
    residual = (predicted - target).abs().sum(1).double()
    for b, y, x in ((0, 5, 6), (1, 3, 3), (1, 4, 7)):
        window = residual[b, y - 3 : y + 4, x - 3 : x + 4]
        wanted = residual[b].var() ** 0.2 * window.var()
        torch.testing.assert_close(found[b, 0, y, x].double(), wanted, atol=1e-6, rtol=1e-5)
    corner = torch.tensor([3, 2, 1, 0, 1, 2, 3])  # reflected at the edge
    wanted = residual[0].var() ** 0.2 * residual[0][corner][:, corner].var()
    torch.testing.assert_close(found[0, 0, 0, 0].double(), wanted, atol=1e-6, rtol=1e-5)

    weighted = (found * (predicted - target)).abs().mean()
    gradients = []
    for detached in (False, True):
        given = predicted.clone().requires_grad_(True)
        loss = artifact_loss(given, target, detached)
        torch.testing.assert_close(loss.detach(), weighted)
        loss.backward()
        gradients.append(given.grad)
    torch.testing.assert_close(gradients[1], found * (predicted - target).sign() / predicted.numel())
    assert (gradients[0] - gradients[1]).abs().max() > 1e-5
    same = target.clone().requires_grad_(True)
    artifact_loss(same, target, False).backward()
    assert same.grad.isfinite().all()


def test_a_latent_that_is_not_finite_names_its_image():
    system = tiny()
    with torch.no_grad():
        system.unet.conv_out.bias.fill_(float("nan"))
    with pytest.raises(DivergedError, match="the latent of 0, 1, 2 is not finite"):
        system.colorize(batch_of(system))


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"steps": 0}, r"--steps 0: pass 1 to 1000"),
        ({"guidance": 0.5}, r"--guidance 0.5: pass 1 or more"),
        ({"instance_weight": -1.0}, r"--instance_weight -1.0: pass 0 or more"),
        ({"sampler": "euler"}, r"--sampler euler: unknown; pass one of ddim, dpm"),
        ({"stage": "fusion"}, r"--stage fusion: unknown; pass one of autoencoder, prior, compression, latent"),
        ({"unet_learns": "half"}, rf"--unet_learns half: unknown; pass one of {', '.join(LEARNT)}"),
        ({"img_size": 100}, r"--input_size 100: pass a multiple of 64"),
    ],
)
def test_numbers_out_of_their_bounds(numbers, said):
    with pytest.raises(InputError, match=said):
        models.config_of("lcad", **numbers)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> str:
    """A folder with a tiny tokenizer of CLIP's kind."""
    folder = tmp_path_factory.mktemp("clip") / "tokenizer"
    folder.mkdir()
    letters = "abcdefghijklmnopqrstuvwxyz,"
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    marks = {"bos_token": words[-2], "eos_token": words[-1], "pad_token": words[-1], "unk_token": words[-1]}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"} | marks))
    return str(folder)


@pytest.fixture(scope="module")
def public(clip):
    """A tiny L-CAD, and the public file that would hold it."""
    system = tiny(name="lcad", clip_tokenizer=clip, **PUBLIC)
    shapes = keys("lcad")
    marks = {name: torch.full((1,) * len(shape), place) for place, (name, shape) in enumerate(shapes.items())}
    found, notes = original.read_lcad(marks, system.config)
    assert "18 tensors" in notes[0]  # 13 of the schedule, positions, and two layers without use
    theirs = list(shapes)
    own = system.state_dict()
    content = {theirs[int(mark.flatten()[0])]: own[name] for name, mark in found.items()}
    for name, tensor in content.items():  # the autoencoder's attention is of 1x1 convolutions there
        content[name] = tensor[..., None, None] if tensor.ndim == 2 and len(shapes[name]) == 4 else tensor
    rest = {name: torch.zeros(2) for name in theirs if name not in content}
    assert len(content) + len(rest) == 1270
    return system, content | rest


def test_the_public_file_loads_whole_or_not_at_all(public, clip):
    wanted, content = public
    assert authors_of(content) == authors_of({"state_dict": content}) == "lcad"
    system, _ = restore("file", {"state_dict": content}, clip_tokenizer=clip, **PUBLIC)
    assert_same(system, wanted)
    assert system.tokenizer(["a bus", "the " * 90]).ids.shape == (2, 77)
    batch = batch_of(system, ["a bus", "a red dog"])
    assert system.colorize(batch).ab.shape == (2, 2, 64, 64)
    assert restore_again(system).tokenizer(["a bus"]).ids.shape == (1, 77)

    def read(held: dict[str, torch.Tensor]) -> None:
        restore("file", held, clip_tokenizer=clip, **PUBLIC)

    missing = "model.diffusion_model.out.2.bias"
    with pytest.raises(InputError, match=r"public L-CAD file: .* 1 missing \(first: unet.conv_out.bias\)"):
        read({name: tensor for name, tensor in content.items() if name != missing})
    missing = "first_stage_model.g_encoder.zero_conv_mid2.weight"
    with pytest.raises(InputError, match=r"1 missing \(first: luminance_encoder.zero_convs.9.weight\)"):
        read({name: tensor for name, tensor in content.items() if name != missing})
    for extra in ("model.diffusion_model.more", "first_stage_model.g_encoder.more", "loss.more"):
        with pytest.raises(InputError, match=rf"1 unknown tensors \(first: {extra}\); fetch"):
            read(content | {extra: torch.zeros(1)})
    with pytest.raises(InputError, match=r"--clip_tokenizer /nowhere/clip: cannot be loaded .* vocab.json"):
        restore("file", content, clip_tokenizer="/nowhere/clip", **PUBLIC)


def test_the_official_sizes_fit_the_public_file(monkeypatch):
    """Names and shapes alone: no memory is taken."""
    monkeypatch.setattr(prior, "clip_tokenizer", lambda config: CaptionTokenizer.from_vocabulary())
    with torch.device("meta"):
        content = {name: torch.empty(shape) for name, shape in keys("lcad").items()}
        system, _ = restore("file", content)
    assert sum(p.numel() for p in system.unet.parameters()) == 860_995_524
    assert sum(p.numel() for p in system.luminance_encoder.parameters()) == 35_904_136 - 37_896
    assert system.stage == "latent" and system.img_size == 256


@pytest.fixture(scope="module")
def stable_diffusion(public, clip, tmp_path_factory):
    """A tiny Stable Diffusion: its system, a folder in diffusers' layout, a single file in the original one."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    system = tiny("prior", name="lcad", clip_tokenizer=clip, **PUBLIC)
    root = tmp_path_factory.mktemp("sd")
    folder = root / "diffusers"
    assert isinstance(system.unet, UNet2DConditionModel) and isinstance(system.autoencoder, AutoencoderKL)
    system.unet.save_pretrained(folder / "unet")
    system.autoencoder.save_pretrained(folder / "vae")
    system.text.encoder.save_pretrained(folder / "text_encoder")
    CaptionTokenizer.from_pretrained(clip)
    (folder / "tokenizer").symlink_to(clip, target_is_directory=True)

    latent, content = public
    ours = {id(tensor): name for name, tensor in latent.state_dict().items()}
    assert len(ours) > 1000
    names = {theirs: name for theirs, name in named(content, latent).items() if "luminance" not in name}
    own, single = system.state_dict(), {}
    for theirs, name in names.items():
        single[theirs] = own[name].reshape(content[theirs].shape) if own[name].ndim != 4 else own[name]
    torch.save({"state_dict": single, "global_step": 1}, root / "v1-5.ckpt")
    return system, folder, root / "v1-5.ckpt"


def named(content: dict[str, torch.Tensor], latent: models.System) -> dict[str, str]:
    """The public file's names -> ours."""
    marks = {name: torch.full((1,) * tensor.ndim, place) for place, (name, tensor) in enumerate(content.items())}
    theirs = list(content)
    found = original.read_lcad(marks, latent.config)[0]
    return {theirs[int(mark.flatten()[0])]: name for name, mark in found.items()}


def test_stable_diffusion_starts_the_compression(stable_diffusion, clip):
    wanted, folder, single = stable_diffusion
    own = wanted.state_dict()
    for source in (folder, single):
        config = models.config_of(
            "lcad", **PUBLIC | {"stage": "compression", "prior_weights": str(source), "clip_tokenizer": clip}
        )
        system = models.system_of("lcad").from_scratch("lcad", config)
        held = system.state_dict()
        assert all(torch.equal(held[name], tensor) for name, tensor in own.items())
        encoder = wanted.autoencoder.encoder.conv_in.weight
        assert torch.equal(system.luminance_encoder.conv_in.weight, encoder)
        assert system.tokenizer(["a bus"]).ids.shape == (1, 77)


def start(**numbers) -> models.System:
    return models.system_of("lcad").from_scratch("lcad", models.config_of("lcad", **PUBLIC | numbers))


def test_other_base_models_are_named(stable_diffusion, tmp_path, clip):
    _, folder, single = stable_diffusion
    given = {"stage": "compression", "clip_tokenizer": clip}
    other = tmp_path / "other"
    for part in ("vae", "text_encoder", "tokenizer", "unet"):
        (other / part).mkdir(parents=True)
    numbers = json.loads((folder / "unet" / "config.json").read_text())
    for changed, said in (
        ({"cross_attention_dim": 1024}, "is Stable Diffusion 2; L-CAD builds on Stable Diffusion 1.5"),
        ({"cross_attention_dim": 2048}, "is Stable Diffusion XL; L-CAD builds"),
        ({"in_channels": 9}, "is a model of 9 input channels, such as one for inpainting; L-CAD"),
    ):
        (other / "unet" / "config.json").write_text(json.dumps(numbers | changed))
        with pytest.raises(InputError, match=rf"--prior_weights {other}: {said}"):
            start(prior_weights=str(other), **given)
    (other / "unet" / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"its unet/config.json cannot be read"):
        start(prior_weights=str(other), **given)
    (other / "vae").rmdir()
    with pytest.raises(InputError, match=r"lacks the folder vae"):
        start(prior_weights=str(other), **given)

    content = torch.load(single, weights_only=True)["state_dict"]
    deep = "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"
    xl = "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias"
    for more, said in (({deep: torch.zeros(8, 1024)}, "2"), ({xl: torch.zeros(1)}, "XL")):
        torch.save(content | more, tmp_path / "other.pth")
        with pytest.raises(InputError, match=rf"other.pth: is Stable Diffusion {said}; L-CAD builds"):
            start(prior_weights=str(tmp_path / "other.pth"), **given)
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other.pth: is no Stable Diffusion in the original layout"):
        start(prior_weights=str(tmp_path / "other.pth"), **given)
    with pytest.raises(InputError, match=r"--prior_weights is not given, nor a checkpoint: pass Stable Diffusion 1.5"):
        start(**given)
    with pytest.raises(InputError, match=r"--stage latent: --model lcad starts with --stage compression"):
        start(prior_weights=str(folder), stage="latent")
    with pytest.raises(InputError, match=r"--stage prior: .* Stable Diffusion has this one"):
        start(stage="prior")


def test_the_small_one_takes_the_text_encoder_of_scenes(tmp_path):
    def first(**given) -> models.System:
        config = models.config_of("lcad_small", **{"stage": "autoencoder"} | given)
        return models.system_of("lcad_small").from_scratch("lcad_small", config)

    scenes = str(ROOT / "checkpoints" / "scenes.safetensors")
    system, content = first(text_encoder_weights=scenes), checkpoint.read(scenes)
    name = "embeddings.word_embeddings.weight"
    held = content["tensors"][f"network.text_encoder.encoder.{name}"]
    assert torch.equal(system.text.encoder.state_dict()[name], held.float())
    assert system.tokenizer.to_json() == CaptionTokenizer.from_json(content["tokenizer"]).to_json()
    assert models.parameter_count(models.create_model("lcad_small")) * 2 < 30e6  # bytes in fp16
    with pytest.raises(InputError, match=r"--text_encoder_weights is not given"):
        first()
    torch.save(system.content() | {"ema": None}, tmp_path / "lcad.pth")
    with pytest.raises(InputError, match=r"lcad.pth: holds no text encoder; pass a checkpoint of L-CoIns"):
        first(text_encoder_weights=str(tmp_path / "lcad.pth"))
    with pytest.raises(InputError, match=r"--stage prior: --model lcad_small starts with --stage autoencoder; pass"):
        first(stage="prior", text_encoder_weights="random")


def test_the_stages_follow_each_other_by_their_commands(tmp_path):
    words = "--model lcad_small --data_set scenes --input_size 16 --scenes 4 --eval_scenes 2 --device cpu --amp none"
    words += " --num_workers 0 --batch_size 2 --epochs 1 --warmup_epochs 0 --layer_decay 1 --steps 2"
    before: list[str] = ["--text_encoder_weights", "random"]
    for stage in STAGES:
        folder = tmp_path / stage
        run_colorization.main([*words.split(), "--stage", stage, "--output_dir", str(folder), *before])
        before = ["--finetune", str(folder / "checkpoint-last.pth")]
    held = torch.load(tmp_path / "latent" / "checkpoint-last.pth", weights_only=True)
    assert held["stage"] == held["config"]["stage"] == "latent" and held["config"]["steps"] == 2
    run_colorization.main(
        ["--data_set", "scenes", "--eval_scenes", "2", "--output_dir", str(tmp_path), "--eval", *before]
    )


SHIPS = ROOT / "checkpoints" / "lcad_scenes.safetensors"
PICTURE = ROOT / "webapp" / "examples" / "scene_leaf_and_hat.png"


def test_the_checkpoint_that_ships_gives_each_thing_the_colour_of_its_caption():
    """Red and green have a* of opposite signs; what the caption leaves open differs between seeds."""
    colorizer = Colorizer.from_checkpoint(SHIPS, "cpu", "none", numbers={"steps": 6})
    with Image.open(PICTURE) as picture:
        captions = ["a green leaf and a red hat", "a red leaf and a green hat"]
        pictures = [*colorizer(picture, captions, seed=0), colorizer(picture, captions[0], seed=1)]
    _, ab = color.split(torch.stack([to_tensor(colored) for colored in pictures]))
    a, b = color.denormalize_ab(ab).unbind(dim=1)
    leaf, hat = a[:, 160:220, 80:140].mean(dim=(1, 2)), a[:, 130:210, 225:315].mean(dim=(1, 2))
    assert leaf[0] < -10 < 10 < hat[0] and hat[1] < -10 < 10 < leaf[1] and leaf[2] < -10 < 10 < hat[2]
    wall = torch.stack([a, b], dim=1)[:, :, 320:, :]
    assert (wall[0] - wall[2]).abs().mean() > 10


def test_the_masks_beside_the_examples_are_read_by_the_command(tmp_path):
    words = [str(PICTURE), "--checkpoint", str(SHIPS), "--caption", "a leaf and a red hat", "--device", "cpu"]
    words += ["--amp", "none", "--masks", str(PICTURE.with_name("masks.json"))]
    pictures = []
    for weight in (0, 3):
        output = tmp_path / str(weight)
        assert not colorize.main([*words, "--output", str(output), "--set", "steps=2", f"instance_weight={weight}"])
        with Image.open(next(output.glob("*.png"))) as picture:
            pictures.append(to_tensor(picture))
    assert (pictures[0] - pictures[1]).abs().mean() > 0.01
