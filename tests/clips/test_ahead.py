"""Items made in a thread of their own: same order, same errors, and no thread left behind."""

from __future__ import annotations

import threading

import pytest

from gesta.clips.ahead import ahead


def test_the_same_items_in_the_same_order_and_none_too_many_waiting():
    made = []

    def numbers():
        for i in range(50):
            made.append(i)
            yield i

    for i, item in enumerate(ahead(numbers(), depth=4)):
        assert item == i and len(made) <= i + 1 + 4 + 2  # taken, waiting, and one in each hand
    assert len(made) == 50


def test_what_making_an_item_raises_comes_after_the_items_before():
    def broken():
        yield 1
        raise ValueError("cut short")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(ValueError, match="cut short"):
        next(items)


def test_the_thread_ends_when_nobody_takes_items_any_more():
    closed = threading.Event()

    def forever():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    items = ahead(forever(), depth=2)
    assert next(items) == 0 and threading.active_count() == before + 1
    items.close()
    assert threading.active_count() == before
