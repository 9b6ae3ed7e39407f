"""A training is the same with one, two and four processes, and with the flags that only save memory."""

import json
from pathlib import Path

import pytest
import soak
import torch
from conftest import ROOT, write_data
from processes import ranks
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from timm.optim import create_optimizer_v2
from torch import nn
from torch.distributed.optim import ZeroRedundancyOptimizer

import engine
import run_colorization
from models.train_state import SHARDABLE
from utils import distributed

# Nothing is drawn per process, and no optimizer that divides by the gradient's size: it would blow up rounding errors.
NOISELESS = ("--no-group_tokens", "--no-luminance_augmentation", "--drop_path", 0, "--opt", "sgd", "--lr", 0.1)
NOISELESS += ("--amp", "none", "--keep_checkpoints", 2)
AFTER_ONE = "checkpoint-0001.pth"  # after two updates
FP16 = ("--batch_size", 2, "--amp", "fp16")  # with noise, AdamW, clipping and a moving average

# Several trainings in one group of processes: starting Python takes longer than they do.
DRIVER = """
import json, pathlib, resource, signal, sys
import run_colorization
from utils import distributed
from utils.log import MetricLog
from models.train_state import TrainState

leave, distributed.shutdown = distributed.shutdown, lambda: None
update, start = MetricLog.update, TrainState.start

def struck(self, at, *args, **values):
    update(self, at, *args, **values)
    if at == task.get("stop_at") and distributed.rank() == 1:
        signal.raise_signal(signal.SIGTERM)

def kept(*args):
    global state
    state = start(*args)
    return state

def numbers(optimizer):
    return sum(value.numel() for of_one in optimizer.state.values() for value in of_one.values())

MetricLog.update, TrainState.start = struck, kept
for task in json.loads(sys.argv[1]):
    if "largest_file" in task and distributed.is_main():
        resource.setrlimit(resource.RLIMIT_FSIZE, (task["largest_file"],) * 2)
    status = run_colorization.run(task["words"])
    assert status == task.get("status", 0), (task, status)
    inside = getattr(state.optimizer, "optim", None)
    gradients = [value.grad for value in state.system.parameters() if value.grad is not None]
    held = {
        "optimizer": numbers(state.optimizer) + (0 if inside is None else numbers(inside)),
        "gradients": len(gradients),
        "buckets": len({gradient.untyped_storage().data_ptr() for gradient in gradients}),
    }
    pathlib.Path(task["folder"], f"held-{distributed.rank()}.json").write_text(json.dumps(held))
leave()
"""


def words(folder: Path, *more: object) -> list[str]:
    common = ["--config", ROOT / "configs" / "lcoins" / "smoke.yaml", "--device", "cpu"]
    return [str(word) for word in (*common, "--data_path", folder.parent / "data", "--output_dir", folder, *more)]


def together(processes: int, tasks: list[dict]) -> None:
    """Trainings with so many processes, one after the other."""
    script = Path(tasks[0]["folder"]).parent / "driver.py"
    script.write_text(DRIVER)
    done = ranks(processes, script, [json.dumps(tasks)], timeout=900)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder for each training: two epochs of two updates with four pictures each."""
    root = tmp_path_factory.mktemp("many")
    write_data(root / "data", {"train": 8, "val": 2})

    def task(name: str, *more: object, **rest: object) -> dict:
        return {"folder": str(root / name), "words": words(root / name, *more), **rest}

    def alone(name: str, *more: object) -> None:
        assert run_colorization.run(task(name, *NOISELESS, *more)["words"]) == 0

    stopped = ("--resume", root / "fp16_stopped" / engine.LAST)
    alone("one")
    two = (*NOISELESS, "--batch_size", 2)
    together(
        2,
        [
            task("two", *two),
            task("two_sharded", *two, "--shard_optimizer"),
            task("two_recomputed", *two, "--grad_checkpointing"),
            task("two_bf16", *two, "--bf16_gradients"),
            task("two_summed", *NOISELESS, "--batch_size", 1, "--update_freq", 2),
            task("fp16", *FP16),
            task("fp16_stopped", *FP16, "--shard_optimizer", stop_at=3, status=75),
            task("fp16_unsharded", *FP16, *stopped),
            task("fp16_resharded", *FP16, *stopped, "--shard_optimizer"),
            task("full", *two, "--shard_optimizer", status=2, largest_file=10**6),
        ],
    )
    four = (*NOISELESS, "--batch_size", 1)
    together(
        4, [task("four", *four), task("four_resumed", *four, "--shard_optimizer", "--resume", root / "one" / AFTER_ONE)]
    )
    alone("one_resumed", "--resume", root / "two_sharded" / AFTER_ONE)
    return root


def curve(folder: Path) -> dict[int, float]:
    """The loss of every update."""
    events = EventAccumulator(str(folder)).Reload()
    return {event.step: event.value for event in events.Scalars("train/total")}


def content(folder: Path, file: str = engine.LAST) -> dict:
    return torch.load(folder / file, weights_only=True)


def assert_same(folder: Path, other: Path) -> None:
    """But for rounding, which grows from update to update, on some CPUs a thousandfold: the two first updates of
    `other` are held closely, by the losses before and between them and by the weights after them."""
    expected, steps = curve(folder), curve(other)
    first, second, *later = sorted(steps)
    assert steps[first] == pytest.approx(expected[first], rel=1e-5)
    assert steps[second] == pytest.approx(expected[second], rel=1e-4)
    assert [steps[step] for step in later] == pytest.approx([expected[step] for step in later], rel=1e-2)
    file = AFTER_ONE if first == 1 else engine.LAST
    tensors = content(other, file)["tensors"]
    for name, tensor in content(folder, file)["tensors"].items():
        torch.testing.assert_close(tensor, tensors[name], atol=2e-5, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}")


def test_the_loss_curve_is_that_of_one_process(runs):
    losses = curve(runs / "one")
    assert list(losses) == [1, 2, 3, 4] and max(losses.values()) > 1.02 * min(losses.values())
    assert_same(runs / "one", runs / "two")
    assert_same(runs / "one", runs / "four")


def held(folder: Path) -> list[dict[str, int]]:
    """What each process had in memory at the end of its training."""
    return [json.loads(path.read_text()) for path in folder.glob("held-*.json")]


def test_sums_over_batches_are_those_of_one_process_and_stay_in_the_buckets(runs):
    assert_same(runs / "one", runs / "two_summed")
    for of_process in held(runs / "two_summed"):
        assert of_process["gradients"] > 100 and of_process["buckets"] < 10
    assert [of_process["gradients"] for of_process in held(runs / "two")] == [0, 0]


def test_recomputing_in_the_backward_pass_changes_nothing(runs):
    assert not soak.differences(content(runs / "two"), content(runs / "two_recomputed"))


def test_gradients_travel_in_bf16_when_asked(runs):
    assert curve(runs / "two_bf16") == pytest.approx(curve(runs / "two"), rel=1e-2)
    one, other = (content(runs / name)["tensors"] for name in ("two", "two_bf16"))
    changed = [name for name in one if not torch.equal(one[name], other[name])]
    assert len(changed) > 0.9 * len(one)


def test_a_shared_optimizer_changes_nothing(runs):
    assert not soak.differences(content(runs / "two"), content(runs / "two_sharded"))
    assert_same(runs / "one", runs / "two_sharded")


def test_a_run_resumes_with_the_optimizer_shared_or_not_bit_for_bit(runs):
    whole = content(runs / "fp16")
    assert {state["step"].item() for state in whole["optimizer"]["state"].values()} == {4}  # no update overflowed
    assert content(runs / "fp16_stopped")["step"] == 3
    assert not soak.differences(whole, content(runs / "fp16_unsharded"))
    assert not soak.differences(whole, content(runs / "fp16_resharded"))


def test_a_run_resumes_with_the_optimizer_shared_by_more_or_fewer_processes(runs):
    for resumed, whole in (("one_resumed", "two_sharded"), ("four_resumed", "one")):
        assert list(curve(runs / resumed)) == [3, 4]
        assert_same(runs / whole, runs / resumed)


def test_each_process_holds_its_share_of_the_optimizer(runs):
    whole, *_ = (of_process["optimizer"] for of_process in held(runs / "fp16"))
    for name in ("fp16_stopped", "fp16_resharded"):
        shares = [of_process["optimizer"] for of_process in held(runs / name)]
        assert sum(shares) == whole > 0 and max(shares) < 0.6 * whole


@pytest.fixture
def group():
    """A group of one process, this one."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_a_shared_state_is_loaded_as_the_optimizer_inside_wants_it(group):
    """A GPU's fused kernels look for the step counts in float32 and beside the tensors; here the first can be seen."""

    def create(groups):
        return torch.optim.AdamW(groups, lr=0.1, fused=True)

    tensor = nn.Parameter(torch.ones(3))
    tensor.grad = torch.ones(3)
    plain = create([tensor])
    plain.step()
    saved = plain.state_dict()
    saved["state"][0]["step"] = saved["state"][0]["step"].double()
    shared = ZeroRedundancyOptimizer([tensor], optimizer_class=create)
    distributed.load_optimizer_state(shared, saved)
    step = shared.optim.state[tensor]["step"]
    assert (step.dtype, step.item()) == (torch.float32, 1) and not shared.state
    assert distributed.optimizer_state(shared)["state"][0].keys() == saved["state"][0].keys()


def test_a_full_disk_ends_every_process_alike(runs):
    """The driver has found status 2 on both."""
    assert not (runs / "full" / engine.LAST).exists()


@pytest.mark.parametrize("name", SHARDABLE)
def test_optimizers_that_can_be_shared_look_at_one_tensor_at_a_time(name):
    torch.manual_seed(0)
    start = [torch.randn(5, 7), torch.randn(7), torch.randn(3, 5)]
    gradients = [[torch.randn_like(tensor) for tensor in start] for _ in range(3)]
    ends = []
    for shares in ([[0, 1, 2]], [[0, 2], [1]]):
        tensors = [nn.Parameter(tensor.clone()) for tensor in start]
        optimizers = [create_optimizer_v2([tensors[i] for i in share], opt=name, lr=0.1) for share in shares]
        for of_step in gradients:
            for tensor, gradient in zip(tensors, of_step, strict=True):
                tensor.grad = gradient.clone()
            for optimizer in optimizers:
                optimizer.step()
        ends.append(tensors)
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


def test_other_optimizers_are_not_shared(tmp_path, capsys):
    write_data(tmp_path / "data", {"train": 4, "val": 1})
    assert run_colorization.run(words(tmp_path / "out", "--shard_optimizer", "--opt", "lamb")) == 2
    assert "--shard_optimizer: not with --opt lamb; pass one of adam, adamw" in capsys.readouterr().err
