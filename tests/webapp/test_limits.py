"""What the page takes on, and what visitors hold, bounded for each and for all."""

import pytest

from utils.errors import InputError
from webapp.limits import Limits, Share, Shares, owner_at, owner_of


@pytest.fixture
def dropped():
    return []


def size_of(shares):
    return sum(size for _, size in shares._held.values())


def test_the_oldest_of_an_owner_and_of_all_make_room(dropped):
    shares = Shares(Share(2), Share(3), dropped.append)
    for item, owner in (("a1", "a"), ("b1", "b"), ("a2", "a"), ("a3", "a")):
        shares.hold(item, owner)
    assert dropped == ["a1"] and [*shares] == ["b1", "a2", "a3"]
    shares.hold("b1", "b")  # used again: now the newest
    shares.hold("c1", "c")
    assert dropped == ["a1", "a2"] and [*shares] == ["a3", "b1", "c1"]


def test_bytes_are_bounded_and_may_grow(dropped):
    shares = Shares(Share(9, 100), Share(9, 150), dropped.append)
    shares.hold("a1", "a", 40)
    shares.hold("a2", "a", 60)
    shares.hold("b1", "b", 50)
    assert not dropped and size_of(shares) == 150
    shares.hold("b1", "b", 51)
    assert dropped == ["a1"] and size_of(shares) == 111
    shares.hold("a2", "a", 101)  # more than its own share, but the newest: it is not taken from who works with it
    assert dropped == ["a1", "b1"] and [*shares] == ["a2"]


def test_what_is_idle_makes_room_first(dropped):
    shares = Shares(Share(9), Share(2), dropped.append, idle=lambda item: item.startswith("idle"))
    for item in ("busy 1", "idle", "busy 2", "busy 3"):
        shares.hold(item, item)
    assert dropped == ["idle", "busy 1"]


def test_what_was_let_go_is_not_dropped(dropped):
    shares = Shares(Share(1), Share(1), dropped.append)
    shares.hold("a", "a")
    assert shares.let_go("a") and not shares.let_go("a")
    shares.hold("b", "a")
    assert not dropped and "b" in shares and len(shares) == 1


@pytest.mark.parametrize(
    ("host", "owner"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "testclient"),
    ],
)
def test_an_owner_is_an_address_or_a_network_of_them(host, owner):
    assert owner_at(host) == owner == owner_of({"client": (host, 1)})
    assert owner_of({"client": None}) == owner_of({}) == ""


@pytest.mark.parametrize(
    ("number", "flag"),
    [
        ({"megapixels": 0}, "--max_megapixels 0"),
        ({"megapixels": 200}, "--max_megapixels 200"),
        ({"megabytes": float("nan")}, "--max_megabytes nan"),
        ({"waiting": -1}, "--queue -1"),
        ({"at_once": 0}, "--concurrency 0"),
    ],
)
def test_limits_that_make_no_sense_are_refused_by_their_flags(number, flag):
    with pytest.raises(InputError, match=flag):
        Limits(**number)
    assert Limits().upload == 40_000_000
