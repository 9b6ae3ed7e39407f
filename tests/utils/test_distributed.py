"""utils/distributed.py: what happens on rank 0 alone reaches every rank."""

import pytest
import torch

from utils import distributed
from utils.errors import FaultError, InputError


@pytest.fixture
def ranks(monkeypatch):
    """Calls `on_main` as two ranks would, one after the other: what each gave or raised."""

    def both(function):
        told, outcomes = [], []

        def broadcast(outcome, src):
            assert src == 0
            told.append(list(outcome))
            outcome[:] = told[0]

        monkeypatch.setattr(distributed, "world_size", lambda: 2)
        monkeypatch.setattr(distributed.dist, "broadcast_object_list", broadcast)
        for rank in (0, 1):
            monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
            try:
                outcomes.append(distributed.on_main(function))
            except BaseException as error:
                outcomes.append(error)
        return outcomes

    return both


def raising(error):
    def function():
        raise error

    return function


def test_the_result_is_every_rank_s(ranks):
    assert ranks(lambda: {"a": 1}) == [{"a": 1}, {"a": 1}]
    assert ranks(lambda: None) == [None, None]


@pytest.mark.parametrize("message", ["file.pth: is full", ""])
def test_an_input_error_is_every_rank_s(ranks, message):
    own, other = ranks(raising(InputError(message)))
    assert type(own) is type(other) is InputError and str(own) == str(other) == message


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left"), ZeroDivisionError(), KeyboardInterrupt(), SystemExit(3)]
)
def test_nobody_waits_for_a_rank_that_has_failed(ranks, error):
    own, other = ranks(raising(error))
    assert own is error and type(other) is FaultError
    assert f"rank 0 ended with {error!r}; mend it" in str(other)


def test_one_process_raises_its_own_error():
    with pytest.raises(ZeroDivisionError):
        distributed.on_main(lambda: 1 / 0)


@pytest.mark.parametrize("shared", [True, False])
def test_every_item_is_one_rank_s(monkeypatch, shared):
    dealt = []
    for rank in range(3):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        monkeypatch.setattr(distributed, "world_size", lambda: 3)
        dealt.append(list(distributed.share(7, shared)))
    assert dealt == ([[0, 3, 6], [1, 4], [2, 5]] if shared else [[0, 1, 2, 3, 4, 5, 6], [], []])


def test_a_loaded_state_keeps_no_tensor_of_the_file():
    tensor = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([tensor], lr=0.1)
    tensor.grad = torch.ones(3)
    optimizer.step()
    state = optimizer.state_dict()
    other = torch.optim.AdamW([tensor], lr=0.2, weight_decay=0.3)
    distributed.load_optimizer_state(other, state)
    held, own = state["state"][0], other.state[tensor]
    assert torch.equal(held["exp_avg"], own["exp_avg"]) and held["exp_avg"].data_ptr() != own["exp_avg"].data_ptr()
    assert (other.param_groups[0]["lr"], other.param_groups[0]["weight_decay"]) == (0.2, 0.3)
