"""How much memory a run takes, part by part and in bytes: of the device that trains, and of the host."""

from __future__ import annotations

from core.config import RunConfig
from core.data.corpus import Corpus

_BYTES = 4  # of a float32
_ADAM = 4  # weight, gradient and two moments
# By `loss.centre_update`: numbers held for each value of a centre, and bytes beside them for each centre.
_CENTRE = {"dense": (4.0, 0), "rows": (3.0, 4), "row_scalar": (1.0, 8)}
_ORDER_BYTES = 8  # a class, of the order that windows are drawn in, on every device
# Of an image in training at 64 px, measured on the CPU at batches of 8 to 512; others are taken to be the largest.
_ACTIVATIONS_64 = {"lcnet_050": 1.8e6, "lcnet_100": 3.5e6, "efficientnet_b0": 8.5e6}
# Interpreter, libraries, the embedder and a batch of captures, measured on the CPU; on a GPU's host it was not.
_BASE = 950e6
_TEACHER_WIDTH = {"procedural": 256, "random": 256}
_DEFAULT_WIDTH = 512  # OpenAI's ViT-B/32


def on_device(config: RunConfig, classes: int, devices: int, images: int) -> dict[str, float]:
    """On each of the devices that train a run, without the embedder and what the framework itself takes.

    Args:
        images: of a batch on one device, clean views among them.
    """
    loss, dim, batch = config.loss, config.model.embed_dim, config.optim.batch_size
    values, beside = _CENTRE[loss.centre_update]
    part = classes / devices
    order = classes * _ORDER_BYTES if loss.sampler == "windows" and loss.sample_rate < 1 else 0
    sampled = loss.sample_rate * part
    scale = (config.data.image_size / 64) ** 2
    per_image = _ACTIVATIONS_64.get(config.model.backbone, max(_ACTIVATIONS_64.values()))
    return {
        "class centres and their state": part * (values * dim * _BYTES + beside) + order,
        # The documented head holds the sampled centres, as they are and at unit length, and three matrices of logits.
        "a step of the head": sampled * (2 * dim + 3 * batch) * _BYTES if loss.centre_update == "dense" else 100e6,
        "activations": images * per_image * scale,
        "images of the pool": config.data.images * _pixels(config),
    }


def of_embedder(parameters: int) -> float:
    """The embedder and its optimiser's state."""
    return parameters * _ADAM * _BYTES


def on_host(config: RunConfig, source: Corpus, images: int, *, trains: bool) -> float:
    """Of a process at most, in a training that was not resumed.

    Args:
        source: the run's corpus, which knows how many captures and images there are.
        images: of a batch, clean views among them.
        trains: whether the host is the device; else of what is trained only the centres are there, while they are made.
    """
    data = config.data
    device = on_device(config, data.classes, 1, images)
    trained = sum(device.values()) if trains else device["class centres and their state"]
    captures = source.capture_count(source.validation) + source.judged_count(config.eval.judged)
    teacher = 0
    if config.distill.active:  # all features, of which the run's rows are taken
        width = _TEACHER_WIDTH.get(config.distill.teacher, _DEFAULT_WIDTH)
        teacher = (len(source.train) + data.images) * data.expansion * width * _BYTES
    return _BASE + trained + captures * _pixels(config) + teacher


def _pixels(config: RunConfig) -> int:
    """Bytes of an image."""
    return 3 * config.data.image_size**2
