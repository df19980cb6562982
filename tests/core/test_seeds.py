"""Streams: named, independent, and blind to each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.seeds import STREAMS, global_stream, numpy_stream, stream_seed, torch_stream


def test_streams_differ_by_name_and_seed() -> None:
    seeds = {stream_seed(seed, name) for seed in range(20) for name in STREAMS}
    assert len(seeds) == 20 * len(STREAMS)


def test_a_stream_does_not_depend_on_the_use_of_others() -> None:
    alone = torch.rand(4, generator=torch_stream(5, "augment"))
    torch.rand(100, generator=torch_stream(5, "partial_fc"))
    numpy_stream(5, "subset").random(10)
    assert torch.equal(alone, torch.rand(4, generator=torch_stream(5, "augment")))
    assert np.array_equal(numpy_stream(5, "subset").random(3), numpy_stream(5, "subset").random(3))


def test_global_stream_is_put_back() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with global_stream(7, "init.head"):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with global_stream(7, "init.head"):
        assert torch.equal(torch.rand(3), inside)


def test_unknown_stream_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"did you mean 'augment'"):
        stream_seed(0, "augments")
