"""Numpy's linear algebra on one thread, while we bring threads of our own."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep the library behind numpy's matrix products from starting threads.

    Our products are many and small. On a busy machine its threads wait for each other by
    spinning: fingerprinting one file took 40 seconds of processor time, not 3.
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
