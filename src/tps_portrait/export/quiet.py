"""Converters talk a lot, some of them past Python; what goes wrong is raised all the same."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep progress, advice and warnings off the terminal, also those of programs that are run."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.ExitStack() as stack:
            warnings.simplefilter("ignore")
            nothing = stack.enter_context(open(os.devnull, "w"))
            for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
                stream.flush()
                kept = os.dup(number)
                stack.callback(os.close, kept)
                stack.callback(os.dup2, kept, number)
                stack.callback(stream.flush)
                os.dup2(nothing.fileno(), number)
            yield
    finally:
        logging.disable(level)
