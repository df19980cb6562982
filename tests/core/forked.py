"""Processes for tests, forked from one that has PyTorch loaded already: to load it anew takes seconds each time."""

from __future__ import annotations

import multiprocessing

FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["tests.core.killing", "timm"])
