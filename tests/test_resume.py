"""A run that is interrupted, killed or starved goes on as if nothing had happened, or says what it cannot keep."""

import gc
import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from conftest import ROOT, write_data
from processes import ranks

import engine
import run_colorization
from datasets.captioned_images import CaptionedImages
from datasets.loading import _Shuffled
from utils import checkpoint, distributed
from utils.distributed import Interruption
from utils.files import OutputLock
from utils.log import MetricLog

SMOKE = ["--config", str(ROOT / "configs" / "lcoins" / "smoke.yaml"), "--device", "cpu", "--batch_size", "2"]


def run(*words):
    return run_colorization.run(SMOKE + [str(word) for word in words])


def content(folder, name=engine.LAST):
    return torch.load(folder / name, weights_only=True)


def same_weights(one, two):
    return all(torch.equal(one[part][name], two[part][name]) for part in ("tensors", "ema") for name in one[part])


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("resume") / "data", {"train": 8, "val": 3})


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    """Two epochs of four updates, without interruption."""
    out = tmp_path_factory.mktemp("resume") / "whole"
    assert run("--data_path", data, "--output_dir", out) == 0
    return out


def signal_at(monkeypatch, step, number):
    """Send this process a signal while update `step` is noted."""
    update = MetricLog.update

    def struck(self, at, *args, **values):
        update(self, at, *args, **values)
        if at == step:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(MetricLog, "update", struck)


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGTERM, 0), (signal.SIGINT, 1)])
def test_a_signal_ends_the_run_after_its_step_and_the_rest_is_the_same(
    data, whole, tmp_path, monkeypatch, capsys, number, workers
):
    words = ["--data_path", data, "--output_dir", tmp_path, "--num_workers", workers]
    signal_at(monkeypatch, 6, number)
    assert run(*words) == 75
    monkeypatch.undo()
    assert f"{tmp_path / engine.LAST}: saved at step 6, as asked; go on with --auto_resume" in capsys.readouterr().err
    held = content(tmp_path)
    assert (held["step"], held["epoch"], held["seen"]) == (6, 1, 4)
    torch.rand(7)  # the generator moves on between two processes
    assert run(*words, "--auto_resume") == 0
    assert same_weights(content(whole), content(tmp_path))
    lines = [[json.loads(line) for line in (d / "log.jsonl").read_text().splitlines()] for d in (whole, tmp_path)]
    for part in ("epoch", "step", "train", "val"):
        assert [line[part] for line in lines[0]] == [line[part] for line in lines[1]]


def test_a_signal_to_every_process_and_more_than_once_ends_the_run_as_well(data, tmp_path, monkeypatch, capsys):
    """As of torchrun, timeout and clusters, which send it to a group of processes."""
    update, others = MetricLog.update, {*multiprocessing.active_children()}  # of other tests

    def loaders():
        return [child.pid for child in multiprocessing.active_children() if child not in others]

    def struck(self, at, *args, **values):
        update(self, at, *args, **values)
        if at == 2:
            assert len(loaders()) == 2
            for number in signal.SIGINT, signal.SIGTERM:  # not from here: PyTorch takes its parent's otherwise
                subprocess.run(["kill", f"-{number}", *map(str, loaders())], check=True)
            time.sleep(0.2)
            assert len(loaders()) == 2
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(MetricLog, "update", struck)
    assert run("--data_path", data, "--output_dir", tmp_path, "--num_workers", 2) == 75
    assert "saved at step 2, as asked" in capsys.readouterr().err
    assert loaders() == []


@pytest.fixture
def sigint_raises():
    """As in a terminal; a shell's background jobs start with SIGINT ignored."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_not_held_back_twice(sigint_raises, first):
    with pytest.raises(KeyboardInterrupt), Interruption() as interruption:
        signal.raise_signal(first)
        assert interruption.asked()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_killed_within_an_epoch_goes_on_from_its_last_checkpoint(data, whole, tmp_path, monkeypatch):
    words = ["--data_path", data, "--output_dir", tmp_path, "--save_every", 3]
    update = MetricLog.update

    def dies(self, at, *args, **values):
        if at == 8:
            raise MemoryError  # nothing of ours runs after it, as after SIGKILL
        update(self, at, *args, **values)

    monkeypatch.setattr(MetricLog, "update", dies)
    with pytest.raises(MemoryError):
        run(*words)
    monkeypatch.undo()
    assert content(tmp_path)["step"] == 6
    assert run(*words, "--auto_resume") == 0
    assert same_weights(content(whole), content(tmp_path))


def test_a_line_without_its_checkpoint_is_written_once(data, tmp_path, monkeypatch):
    """Killed between the log's line and the checkpoint of an epoch."""
    words = ["--data_path", data, "--output_dir", tmp_path]
    save = engine.save
    monkeypatch.setattr(engine, "save", lambda path, held: save(path, held) if held["epoch"] == 1 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(*words)
    monkeypatch.undo()
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2
    assert run(*words, "--auto_resume") == 0
    assert [json.loads(line)["epoch"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [1, 2]


def test_a_best_is_not_lost_between_the_two_checkpoints(data, tmp_path, monkeypatch):
    """Killed behind each of the writes at the first epoch's end, where val is the best so far."""
    words, save = ["--data_path", data, "--epochs", 1], engine.save
    for writes in (1, 2):
        folder, done = tmp_path / str(writes), []

        def dies(path, held, writes=writes, done=done):
            if len(done) == writes:
                raise MemoryError
            done.append(path.name)
            save(path, held)

        monkeypatch.setattr(engine, "save", dies)
        monkeypatch.setattr(engine, "_keep", lambda *_: 1 / 0)
        with pytest.raises((MemoryError, ZeroDivisionError)):
            run(*words, "--output_dir", folder)
        monkeypatch.undo()
        assert run(*words, "--output_dir", folder, "--auto_resume") == 0
        one, other = content(folder, engine.BEST), content(folder)
        assert one["best"] == other["best"] and one["epoch"] == 1 and same_weights(one, other)


def test_an_epoch_saved_at_its_last_update_is_ended_by_another_number_of_processes(data, whole, tmp_path, monkeypatch):
    """Nothing of it is left to train, and its mean losses are those of all its updates."""
    signal_at(monkeypatch, 4, signal.SIGTERM)
    words = ["--data_path", data, "--output_dir", tmp_path]
    assert run(*words) == 75
    monkeypatch.undo()
    held = content(tmp_path)
    assert (held["step"], held["epoch"], held["seen"]) == (4, 0, 8)
    states = [held["log"][0] | {"sums": {n: v + d for n, v in held["log"][0]["sums"].items()}} for d in (1.0, -1.0)]
    torch.save(held | {"rng": held["rng"] * 2, "log": states}, tmp_path / engine.LAST)  # as two would have written it
    assert run(*words, "--auto_resume", "--epochs", 1) == 0
    (line,) = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    first = json.loads((whole / "log.jsonl").read_text().splitlines()[0])
    assert line["train"] == pytest.approx(first["train"]) and line["val"] == first["val"]
    assert content(tmp_path)["epoch"] == 1


def test_the_schedule_follows_the_epochs_whatever_the_batches_before(data, tmp_path, monkeypatch):
    """Four updates an epoch, then two: the third of four is due, not the fifth."""
    words = ["--data_path", data, "--output_dir", tmp_path, "--keep_checkpoints", 2, "--warmup_epochs", 0.5]
    update, rates = MetricLog.update, {}

    def noted(self, at, images, lr, *args, **values):
        rates[at] = lr
        update(self, at, images, lr, *args, **values)

    monkeypatch.setattr(MetricLog, "update", noted)
    assert run(*words) == 0
    assert len(set(rates.values())) == 8 and rates[1] == pytest.approx(1e-3 / 3)  # half an epoch: thirds of --lr
    rates.clear()
    assert run(*words, "--resume", tmp_path / "checkpoint-0001.pth", "--batch_size", 4) == 0
    resumed = list(rates.values())
    rates.clear()
    assert run(*words, "--batch_size", 4) == 0
    assert resumed == list(rates.values())[2:] and list(rates) == [1, 2, 3, 4]


@pytest.fixture(scope="module")
def first_epoch(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("resume") / "first"
    assert run("--data_path", data, "--output_dir", out, "--epochs", 1) == 0
    return out / engine.LAST


def test_flags_of_the_optimizer_take_effect_in_a_resumed_run(data, first_epoch, tmp_path):
    words = ["--data_path", data, "--output_dir", tmp_path, "--resume", first_epoch, "--min_lr", 1e-4]
    given = ["--weight_decay", 0.3, "--opt_betas", 0.5, 0.6, "--layer_decay", 0.5, "--lr", 2e-3]
    assert run(*words, *given) == 0
    groups, before = content(tmp_path)["optimizer"]["param_groups"], torch.load(first_epoch)["optimizer"]
    assert {group["betas"] for group in groups} == {(0.5, 0.6)}
    assert {group["weight_decay"] for group in groups} == {0.0, 0.3}
    for group, was in zip(groups, before["param_groups"], strict=True):
        assert group["lr_scale"] == pytest.approx(was["lr_scale"] ** (math.log(0.5) / math.log(0.9)))
        assert group["initial_lr"] == 2e-3 and 1e-4 * group["lr_scale"] <= group["lr"] < 2e-3
    assert {state["step"].item() for state in content(tmp_path)["optimizer"]["state"].values()} == {8}  # moments stay


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--opt", "sgd"], "--opt sgd (was adamw)"),
        (["--opt", "nmuon"], "--opt nmuon (was adamw)"),
        (["--freeze_encoders"], "--freeze_encoders True (was False)"),
        (["--input_size", 40], "--input_size 40 (was 32)"),
    ],
)
def test_flags_that_the_optimizer_s_state_does_not_fit_are_refused(data, first_epoch, tmp_path, capsys, flags, message):
    (tmp_path / "args.yaml").write_text("of the run before\n")
    assert run("--data_path", data, "--output_dir", tmp_path, "--resume", first_epoch, *flags) == 2
    said = capsys.readouterr().err
    assert f"{first_epoch}: its optimizer does not fit {message};" in said and "--finetune" in said
    assert (tmp_path / "args.yaml").read_text() == "of the run before\n"  # to which the message sends the user


def test_a_run_without_loss_scaling_goes_on_in_fp16(data, first_epoch, tmp_path):
    assert run("--data_path", data, "--output_dir", tmp_path, "--resume", first_epoch, "--amp", "fp16") == 0
    assert content(tmp_path)["scaler"]["scale"] > 0


@pytest.mark.parametrize("flag", ["--resume", "--finetune"])
def test_a_run_lets_go_of_the_file_that_it_began_with(data, first_epoch, tmp_path, monkeypatch, flag):
    """Replaced or deleted, it would fill the disk until the last epoch."""
    update, mapped = MetricLog.update, []

    def looks(self, *args, **values):
        mapped.append(str(first_epoch) in Path("/proc/self/maps").read_text())
        update(self, *args, **values)

    monkeypatch.setattr(MetricLog, "update", looks)
    held = checkpoint.load(str(first_epoch))
    assert str(first_epoch) in Path("/proc/self/maps").read_text()  # else this test could not fail
    del held
    gc.collect()
    assert run("--data_path", data, "--output_dir", tmp_path, flag, first_epoch) == 0
    assert mapped and not any(mapped)


def test_flags_are_written_once_they_are_resolved_and_checked(data, first_epoch, tmp_path):
    words = ["--data_path", data, "--output_dir", tmp_path]
    assert run(*words, "--finetune", first_epoch, "--epochs", 1) == 0
    written = (tmp_path / "args.yaml").read_text()
    flags = yaml.safe_load(written)
    assert None not in flags.values() and flags["model"] == "colorization_vit_tiny_patch8_112_group_post"
    assert flags["group_tokens"] is flags["counter_color"] is True and flags["batch_size"] == 2
    with OutputLock(tmp_path):
        assert run(*words, "--batch_size", 4) == 2
    assert run("--data_path", tmp_path / "nowhere", "--output_dir", tmp_path) == 2
    assert run(*words, "--resume", tmp_path / "nothing.pth") == 2
    assert (tmp_path / "args.yaml").read_text() == written


@pytest.mark.parametrize("after", [1, 2, 3])
def test_no_sample_is_repeated_or_left_out_with_another_number_of_processes(monkeypatch, after):
    """Two ranks take two batches of 3; then `after` ranks take the rest of the epoch."""
    place = {}
    monkeypatch.setattr(distributed, "rank", lambda: place["rank"])
    monkeypatch.setattr(distributed, "world_size", lambda: place["ranks"])

    def dealt(ranks, seen):
        samplers = []
        for rank in range(ranks):
            place.update(rank=rank, ranks=ranks)
            sampler = _Shuffled(50, batch_size=3, seed=1)
            sampler.epoch, sampler.seen = 4, seen
            samplers.append(list(sampler))
        return samplers

    first = [index for indices in dealt(2, 0) for index in indices[:6]]
    rest = dealt(after, len(first))
    assert len({len(indices) for indices in rest}) == 1
    together = first + [index for indices in rest for index in indices]
    assert len(set(together)) == len(together) >= 50 - 3 * after
    place.update(rank=0, ranks=1)
    order = list(_Shuffled(50, 3, 1))
    assert len(order) == 48 and order != sorted(order)


def test_another_run_is_named_when_it_is_resumed(data, whole, tmp_path, capsys):
    words = ["--data_path", data, "--output_dir", tmp_path, "--resume", whole / engine.LAST]
    assert run(*words, "--num_workers", 1) == 0
    assert "another run" not in capsys.readouterr().err
    assert run(*words, "--epochs", 3, "--lr", 5e-4, "--batch_size", 4, "--print_freq", 3) == 0
    changed = "resumed as another run: --batch_size 4 (was 2), --epochs 3 (was 2), --lr 0.0005 (was 0.001)\n"
    assert changed in capsys.readouterr().err


def test_two_runs_do_not_share_an_output_folder(data, tmp_path, capsys):
    with OutputLock(tmp_path):
        assert run("--data_path", data, "--output_dir", tmp_path) == 2
    message = f"--output_dir {tmp_path}: another run writes there (process {os.getpid()})"
    assert message in capsys.readouterr().err
    assert not (tmp_path / engine.LAST).exists()
    with OutputLock(tmp_path):
        pass


def test_a_loader_process_that_dies_is_told(data, tmp_path, monkeypatch, capsys):
    parent, read = os.getpid(), CaptionedImages.__getitem__

    def dies(self, index):
        if os.getpid() != parent and self.folder.name == "train":
            os.kill(os.getpid(), signal.SIGKILL)
        return read(self, index)

    monkeypatch.setattr(CaptionedImages, "__getitem__", dies)
    assert run("--data_path", data, "--output_dir", tmp_path, "--num_workers", 1) == 4
    assert "a loader process died" in (message := capsys.readouterr().err) and "--num_workers" in message
    monkeypatch.undo()
    assert run("--data_path", data, "--output_dir", tmp_path, "--auto_resume") == 0


def test_an_image_that_breaks_in_the_middle_is_named_and_the_run_goes_on_once_it_is_back(tmp_path, capsys, monkeypatch):
    data = write_data(tmp_path / "data", {"train": 8, "val": 3})
    image, out = data / "train" / "5.jpg", tmp_path / "out"
    kept, start_epoch = image.read_bytes(), MetricLog.start_epoch

    def breaks(self, epoch, seen):
        start_epoch(self, epoch, seen)
        if epoch == 1:
            image.write_bytes(kept[:200])

    monkeypatch.setattr(MetricLog, "start_epoch", breaks)
    assert run("--data_path", data, "--output_dir", out) == 2
    assert str(image) in capsys.readouterr().err
    monkeypatch.undo()
    image.write_bytes(kept)
    assert content(out)["epoch"] == 1
    assert run("--data_path", data, "--output_dir", out, "--auto_resume") == 0
    assert content(out)["epoch"] == 2


FULL_DISK = """
import resource, sys
import run_colorization
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
sys.exit(run_colorization.run())
"""


def test_a_disk_that_fills_leaves_the_former_checkpoint_and_a_run_that_goes_on(data, whole, tmp_path):
    script = tmp_path / "full.py"
    script.write_text(FULL_DISK.format(size=(whole / engine.LAST).stat().st_size // 2))
    failed = ranks(1, script, [*SMOKE, "--data_path", str(data), "--output_dir", str(tmp_path)])
    assert failed.returncode == 2, failed.stderr
    assert f"{tmp_path / engine.BEST}: cannot be written" in failed.stderr and "make room" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not list(tmp_path.glob("*.pth*"))
    assert run("--data_path", data, "--output_dir", tmp_path, "--auto_resume") == 0


def test_the_last_epochs_are_kept_when_asked(data, tmp_path):
    assert run("--data_path", data, "--output_dir", tmp_path, "--epochs", 3, "--keep_checkpoints", 2) == 0
    kept = sorted(path.name for path in tmp_path.glob("checkpoint-0*.pth"))
    assert kept == ["checkpoint-0002.pth", "checkpoint-0003.pth"]
    assert [content(tmp_path, name)["epoch"] for name in kept] == [2, 3]
    assert (tmp_path / kept[-1]).samefile(tmp_path / engine.LAST)


def test_a_clock_that_jumps_back_stops_nothing(data, tmp_path, monkeypatch):
    hours = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 1.7e9 - 3600.0 * next(hours))
    assert run("--data_path", data, "--output_dir", tmp_path, "--epochs", 1) == 0
    assert json.loads((tmp_path / "log.jsonl").read_text())["images_per_second"] > 0


def test_a_rank_that_is_gone_before_the_first_step_is_told(data, tmp_path, monkeypatch, capsys):
    def closed(*_):
        raise RuntimeError("[pair.cc:561] Connection closed by peer [127.0.0.1]:25829")

    monkeypatch.setattr(distributed, "on_main", closed)
    assert run("--data_path", data, "--output_dir", tmp_path) == 4
    assert "another process of the run is gone ([pair.cc:561]" in capsys.readouterr().err


KILLER = """
import os, signal, sys
sys.path.insert(0, {root!r})
import run_colorization
from utils import checkpoint, distributed
from utils.log import MetricLog
update = MetricLog.update
def dies(self, at, *args, **values):
    update(self, at, *args, **values)
    if at == 3 and distributed.rank() == 1 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
MetricLog.update = dies
sys.exit(run_colorization.run())
"""


def test_a_rank_that_is_killed_is_restarted_by_torchrun(data, tmp_path):
    script = tmp_path / "killer.py"
    script.write_text(KILLER.format(root=str(ROOT)))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "--max_restarts=1"]
    words = [*SMOKE, "--data_path", data, "--output_dir", tmp_path / "out", "--save_every", 2, "--auto_resume"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    done = subprocess.run(
        [*launch, str(script), *map(str, words)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "another process of the run is gone" in done.stderr or "SIGKILL" in done.stderr or "Signal 9" in done.stderr
    assert "2 steps done" in done.stderr  # resumed from the checkpoint within the epoch
    held = content(tmp_path / "out")
    assert (held["epoch"], held["step"]) == (2, 4)
