"""Images side by side give what they give one after another, and leave the threads as they were."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from utils.devices import side_by_side

CPU = torch.device("cpu")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_keep_their_order_and_have_no_gradients(two_threads):
    weight = torch.ones(2, requires_grad=True)
    results = side_by_side(lambda item: weight * item, range(20), CPU)
    assert [result.tolist() for result in results] == [[item, item] for item in range(20)]
    assert not any(result.requires_grad for result in results)


def test_every_item_has_one_core_and_the_rest_keeps_its_threads(two_threads):
    both = threading.Barrier(2, timeout=30)  # nobody passes alone

    def seen(_):
        both.wait()
        return threading.get_ident(), torch.get_num_threads()

    idents, threads = zip(*side_by_side(seen, range(6), CPU), strict=True)
    assert len(set(idents)) == 2 and set(threads) == {1}
    with ThreadPoolExecutor(1) as later:
        assert torch.get_num_threads() == later.submit(torch.get_num_threads).result() == 2


def test_an_error_arrives_and_the_threads_stay(two_threads):
    def fails(item):
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        side_by_side(fails, [0, 1, 2], CPU)
    assert torch.get_num_threads() == 2


def test_one_item_is_computed_here(two_threads):
    assert side_by_side(lambda _: threading.get_ident(), [0], CPU) == [threading.get_ident()]
