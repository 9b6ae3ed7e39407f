"""scripts/train_slurm.sh, with stand-ins for SLURM's commands."""

import os
import signal
import subprocess
import time

import pytest
from conftest import ROOT

SCRIPT = ROOT / "scripts" / "train_slurm.sh"
STAND_INS = {
    "scontrol": 'echo "scontrol $*" >> "$CALLS"; if [ "$1" = show ]; then printf "node7\\nnode8\\n"; fi',
    "srun": 'echo "srun: $SRUN_CPUS_PER_TASK cores, $TORCH_ELASTIC_SHUTDOWN_TIMEOUT s" >> "$CALLS"; shift; exec "$@"',
    "torchrun": 'echo "torchrun $*" >> "$CALLS"\n'
    'trap "echo saved >> \\"$CALLS\\"; exit 75" TERM\n'
    'touch "$CALLS.begun"\n'
    'for _ in $(seq "$TENTHS_OF_WORK"); do sleep 0.1; done; exit "$STATUS"',
}


@pytest.fixture
def begin(tmp_path):
    """Starts the script; returns the process and the file of what was called."""
    for name, lines in STAND_INS.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{lines}\n")
        (tmp_path / name).chmod(0o755)
    calls = tmp_path / "calls"

    def run(*words, work=0, status=0):
        environment = os.environ | {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "CALLS": str(calls),
            "TENTHS_OF_WORK": str(work),
            "STATUS": str(status),
            **{"SLURM_JOB_ID": "42", "SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "node[7-8]", "SLURM_GPUS_ON_NODE": "4"},
            "SLURM_CPUS_PER_TASK": "32",
        }
        return subprocess.Popen(["bash", str(SCRIPT), *words], env=environment, stderr=subprocess.PIPE), calls

    return run


def test_every_machine_meets_at_the_first(begin):
    process, calls = begin("config.yaml", "data", "out", "--epochs", "3")
    assert process.wait(20) == 0
    called = calls.read_text()
    assert "--nnodes=2 --nproc_per_node=4 --rdzv_id=42" in called and "--rdzv_endpoint=node7:29500" in called
    assert "--config config.yaml --data_path data --output_dir out --auto_resume --dist_eval --epochs 3" in called
    assert "srun: 32 cores, 540 s" in called and "requeue" not in called


def test_a_job_whose_time_is_over_saves_and_queues_itself_again(begin):
    process, calls = begin("config.yaml", "data", "out", work=300)
    deadline = time.monotonic() + 20
    while not calls.with_name("calls.begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) != 0
    lines = calls.read_text().splitlines()
    assert lines.index("saved") < lines.index("scontrol requeue 42")


def test_a_job_that_fails_is_not_queued_again(begin):
    process, calls = begin("config.yaml", "data", "out", status=2)
    assert process.wait(20) == 2 and "requeue" not in calls.read_text()


def test_without_paths_it_says_how(begin):
    process, calls = begin("config.yaml")
    assert process.wait(20) == 2 and b"sbatch --nodes=2" in process.stderr.read() and not calls.exists()
