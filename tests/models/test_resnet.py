"""The residual network against the counts of its paper and torchvision's block."""

import pytest
import torch
from torchvision.models.resnet import BasicBlock as TorchvisionBlock

import models
from models.resnet import BasicBlock, PaddedShortcut


@pytest.mark.parametrize(
    ("blocks", "layers", "million"),
    # He et al. 2016, table 6.
    [(3, 20, 0.27), (5, 32, 0.46), (7, 44, 0.66), (9, 56, 0.85), (18, 110, 1.7)],
)
def test_published_depths_and_counts(blocks: int, layers: int, million: float) -> None:
    model = models.build_meta("mini_resnet", (3, 32, 32), 10, blocks_per_stage=blocks)
    counts = models.layer_counts(model)
    assert counts["Conv2d"] + counts["Linear"] == layers == 6 * blocks + 2
    parameters = models.cost_of("mini_resnet", (3, 32, 32), 10, blocks_per_stage=blocks).parameters
    assert round(parameters / 1e6, 1 if million > 1 else 2) == million


def test_count_by_hand() -> None:
    stem, linear = 3 * 16 * 9, 64 * 10 + 10
    stages = sum(9 * (i * w + 5 * w * w) for i, w in [(16, 16), (16, 32), (32, 64)])
    norms = 2 * (16 + 6 * (16 + 32 + 64))
    assert models.cost_of("mini_resnet", (3, 32, 32), 10).parameters == stem + stages + norms + linear == 269_722
    projections = sum(i * w + 2 * w for i, w in [(16, 32), (32, 64)])
    assert models.cost_of("mini_resnet", (3, 32, 32), 10, shortcut="projection").parameters == 269_722 + projections


def test_sides_halve_and_widths_double() -> None:
    model = models.build("mini_resnet", (3, 33, 20), 10, blocks_per_stage=1, width=5, stages=4)
    x = model.get_submodule("stem")(torch.randn(2, 3, 33, 20))
    shapes = []
    for stage in model.get_submodule("stages").children():
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(5, 33, 20), (10, 17, 10), (20, 9, 5), (40, 5, 3)]


def test_the_block_is_torchvisions() -> None:
    torch.manual_seed(0)
    block = BasicBlock(4, 4, 1, shortcut="identity", activation="relu").eval()
    other = TorchvisionBlock(4, 4).eval()
    theirs = (other.conv1, other.bn1, None, other.conv2, other.bn2)
    for layer, their in zip(block.body, theirs, strict=True):
        if their is not None:
            their.load_state_dict(layer.state_dict())
    x = torch.randn(2, 4, 7, 7)
    with torch.no_grad():
        torch.testing.assert_close(block(x), other(x))


def test_the_shortcut_without_parameters() -> None:
    x = torch.randn(2, 3, 7, 8)
    out = PaddedShortcut(3, 5, 2)(x)
    assert out.shape == (2, 5, 4, 4)
    for row in range(4):
        for column in range(4):
            assert torch.equal(out[:, :3, row, column], x[:, :, 2 * row, 2 * column])
    assert not out[:, 3:].any()


def test_any_image_down_to_one_pixel() -> None:
    model = models.build("mini_resnet", (2, 1, 1), 3, blocks_per_stage=1, width=4, stages=6).eval()
    assert model(torch.randn(1, 2, 1, 1)).shape == (1, 3)


def test_initial_weights_are_the_papers() -> None:
    torch.manual_seed(0)
    model = models.build("mini_resnet", (3, 32, 32), 10, width=64)
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d):
            # N(0, 2 / fan_out): a standard deviation within four of its own standard errors.
            expected = (2 / (9 * layer.out_channels)) ** 0.5
            error = expected / (2 * layer.weight.numel()) ** 0.5
            assert abs(layer.weight.std().item() - expected) < 4.5 * error
