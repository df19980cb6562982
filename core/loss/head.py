"""The class head that a configuration asks for."""

from __future__ import annotations

from core.config import RunConfig
from core.loss.fast_partial_fc import FastPartialFC
from core.loss.partial_fc import PartialFC
from core.loss.sharded_partial_fc import ShardedPartialFC
from core.ranks import ALONE, Ranks
from core.seeds import torch_stream


def class_head(config: RunConfig, ranks: Ranks = ALONE) -> PartialFC | FastPartialFC:
    """Class centres and their loss: the record's, or the one that updates its own centres."""
    loss, optim, seed = config.loss, config.optim, config.seed
    shape = config.model.embed_dim, config.data.classes, loss.kind, loss.scale, loss.margin, loss.sample_rate
    draws, init = torch_stream(seed, "partial_fc"), torch_stream(seed, "init.centres")
    if loss.centre_update == "dense" and ranks.alone:
        return PartialFC(*shape, sampler=loss.sampler, generator=draws, init_generator=init)
    if loss.centre_update == "dense":
        return ShardedPartialFC(*shape, ranks=ranks, sampler=loss.sampler, generator=draws, init_generator=init)
    return FastPartialFC(
        *shape, sampler=loss.sampler, update=loss.centre_update, betas=(optim.beta1, optim.beta2),
        weight_decay=optim.weight_decay, generator=draws, init_generator=init, ranks=ranks,
    )  # fmt: skip
