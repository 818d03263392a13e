"""Reading beside computing."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar('Item')


def read_ahead(items: Generator[Item, None, None], count: int) -> Iterator[Item]:
    """The same items, of which a thread gets up to `count` before they are asked for.

    What the generator raises is raised where its next item was expected. The generator is closed
    when the caller has enough.

    Args:
        items: is used by the thread alone.
        count: how many to hold, at least 1.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix='read_ahead') as thread:
        try:
            jobs = deque(thread.submit(next, items, end) for _ in range(count))
            while (item := jobs.popleft().result()) is not end:
                jobs.append(thread.submit(next, items, end))
                yield item
        finally:
            for job in jobs:
                job.cancel()
            thread.submit(items.close).result()
