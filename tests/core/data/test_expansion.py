import pytest
import torch
from PIL import Image

from core.data.expansion import FACTORS, expand, take


def _images(n: int, size: int, dtype: torch.dtype) -> torch.Tensor:
    pixels = torch.randint(0, 256, (n, 3, size, size), generator=torch.Generator().manual_seed(n), dtype=torch.uint8)
    return pixels if dtype == torch.uint8 else pixels.to(dtype) / 255


def test_factor_one_is_the_identity() -> None:
    images = _images(3, 8, torch.uint8)
    assert torch.equal(expand(images, 1), images)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [6, 16])
def test_take_equals_expand_at_the_classes(factor: int, dtype: torch.dtype, size: int) -> None:
    images = _images(5, size, dtype)
    classes = torch.randint(0, 5 * factor, (64,), generator=torch.Generator().manual_seed(1))
    everything = expand(images, factor)
    assert everything.shape == (5 * factor, 3, size, size)
    assert everything.dtype == dtype
    taken = take(images, classes, factor)
    assert taken.is_contiguous()
    assert torch.equal(taken, everything[classes])


@pytest.mark.parametrize("factor", FACTORS)
def test_take_of_one_and_of_no_class(factor: int) -> None:
    images = _images(2, 8, torch.uint8)
    for k in range(2 * factor):
        assert torch.equal(take(images, torch.tensor([k]), factor)[0], expand(images, factor)[k])
    assert take(images, torch.empty(0, dtype=torch.int64), factor).shape == (0, 3, 8, 8)


def test_variants_of_an_asymmetric_image_differ_and_x8_begins_x24() -> None:
    images = _images(2, 16, torch.uint8)
    eight, all_of_them = expand(images, 8).view(2, 8, -1), expand(images, 24).view(2, 24, -1)
    assert torch.equal(eight, all_of_them[:, :8])
    assert len({bytes(variant.tolist()) for variant in all_of_them.view(48, -1)}) == 48


def test_variants_are_those_of_pillow() -> None:
    images = _images(1, 10, torch.uint8)
    first = Image.fromarray(images[0].permute(1, 2, 0).numpy())
    turned = [first.rotate(90 * k) for k in range(4)]
    whole = turned + [image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) for image in turned]
    top = [image.crop((0, 0, 10, 5)).resize((10, 10), Image.Resampling.BILINEAR) for image in whole]
    bottom = [image.crop((0, 5, 10, 10)).resize((10, 10), Image.Resampling.BILINEAR) for image in whole]
    for k, (variant, expected) in enumerate(zip(expand(images, 24), whole + top + bottom, strict=True)):
        pixels = torch.frombuffer(bytearray(expected.tobytes()), dtype=torch.uint8).view(10, 10, 3).permute(2, 0, 1)
        assert (variant.int() - pixels.int()).abs().max() <= (0 if k < 8 else 1), k


def test_halves_of_whole_numbers_and_of_floats_agree() -> None:
    images = _images(2, 12, torch.uint8)
    exact = expand(images.double(), 24)
    assert torch.equal(expand(images, 24), (exact + 0.5).floor().to(torch.uint8))


def test_wrong_input_is_refused() -> None:
    images = _images(2, 8, torch.uint8)
    with pytest.raises(ValueError, match="factor"):
        expand(images, 4)
    with pytest.raises(ValueError, match="square"):
        expand(images[..., :6], 8)
    with pytest.raises(ValueError, match="even"):
        expand(images[..., :7, :7], 24)
    with pytest.raises(ValueError, match="uint8"):
        expand(images.int(), 8)
    with pytest.raises(ValueError, match="int64"):
        take(images, torch.tensor([0.0]), 8)
    for outside in (-1, 16):
        with pytest.raises(ValueError, match=r"\[0, 16\)"):
            take(images, torch.tensor([0, outside]), 8)
