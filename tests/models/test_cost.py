"""Costs on the meta device against torchinfo run for real, and against the published table."""

import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest
import torch
import torchinfo

import models
from models.cost import Cost, build_meta, cost

BATCH = 3
CASES: list[tuple[str, tuple[int, int, int], dict[str, Any]]] = [
    *((name, models.get(name).native_input, {}) for name in models.names()),
    ("classifier", (1, 33, 33), {"residual": True, "norm": "group", "activation": "relu"}),
    ("classifier", (3, 32, 32), {"residual": True, "residual_layers": 3, "logit_scale": 0.125}),
    ("classifier", (3, 8, 8), {"cnn_layers": 2, "fcn_layers": 1, "pooling": "max", "norm": "none"}),
    ("classifier", (3, 64, 64), {"cnn_layers": 3, "pooling": "average", "dropout": 0.2, "residual": True}),
    ("simple_cnn", (3, 20, 31), {"conv_channels": (4, 8, 16), "hidden_dim": 9, "dropout": 0.0}),
    ("mnist_cnn", (3, 8, 8), {"hidden_dims": (12,)}),
    ("cifar_model", (1, 9, 33), {"conv_channels": (4, 8), "hidden_dim": 5}),
    ("tiny_vgg", (1, 9, 12), {"hidden_units": 5, "batch_norm": True, "dropout": 0.2}),
    ("mnist_v1", (3, 32, 35), {"dropout": 0.0}),
    ("mnist_small", (3, 32, 20), {"separable": True, "activation": "gelu", "dropout": 0.1, "features": 3}),
    ("mnist_residual", (3, 8, 17), {"first_layers": 2, "final_layers": 1, "activation": "relu", "dropout": 0.1}),
    ("mini_resnet", (1, 7, 12), {"blocks_per_stage": 1, "width": 3, "stages": 4, "shortcut": "projection"}),
    ("vae", (1, 28, 28), {"cnn_layers": 3, "latent_dim": 2, "pooling": "fractional", "norm": "group"}),
    ("vae", (2, 9, 9), {"cnn_layers": 1, "final_channels": 32, "norm": "none"}),
]


def test_the_published_table() -> None:
    counted = models.cost_of("classifier", (3, 32, 32), 10, batch=100)
    assert counted.parameters == 875_592
    assert f"{counted.mult_adds / 1e9:.2f}" == "3.20"
    assert f"{counted.input_bytes / 1e6:.2f}" == "1.23"
    assert f"{counted.forward_backward_bytes / 1e6:.2f}" == "158.98"
    assert f"{counted.params_bytes / 1e6:.2f}" == "3.50"
    total = counted.input_bytes + counted.forward_backward_bytes + counted.params_bytes
    assert f"{total / 1e6:.2f}" == "163.72"


def test_every_model_is_compared() -> None:
    assert len(CASES) == 14 + 14
    assert {name for name, *_ in CASES} == set(models.names())


@pytest.mark.parametrize(("name", "shape", "options"), CASES)
def test_equal_to_torchinfo_run_for_real(name: str, shape: tuple[int, int, int], options: dict[str, Any]) -> None:
    model = models.build(name, shape, 10, **options)
    real = torchinfo.summary(model, input_size=(BATCH, *shape), device="cpu", verbose=0)
    expected = Cost(
        parameters=real.total_params,
        mult_adds=real.total_mult_adds,
        forward_backward_bytes=real.total_output_bytes,
        params_bytes=real.total_param_bytes,
        input_bytes=real.total_input,
    )
    assert models.cost_of(name, shape, 10, BATCH, **options) == expected
    for mode in (True, False):
        assert cost(model.train(mode), shape, BATCH) == expected


@pytest.mark.parametrize("name", models.names())
def test_asking_leaves_the_model_and_the_random_state_alone(name: str) -> None:
    shape = models.get(name).native_input
    model = models.build(name, shape, 10).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    cost(model, shape)
    models.cost_of(name, shape, 10)
    models.summary(model, shape)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"cpu"}
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("training", [True, False])
def test_meta_models_have_shapes_and_no_storage(name: str, training: bool) -> None:
    shape = models.get(name).native_input
    model = build_meta(name, shape, 7).train(training)
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}
    outputs = model(torch.empty(2, *shape, device="meta"))
    if models.get(name).task == "classification":
        assert outputs.shape == (2, 7)
    else:
        assert outputs.images.shape == (2, *shape)
    assert {tensor.device.type for tensor in (outputs if isinstance(outputs, tuple) else (outputs,))} == {"meta"}


def test_frozen_parameters_still_count() -> None:
    model = models.build("mnist_mlr", (1, 28, 28), 10).requires_grad_(False)
    assert cost(model, (1, 28, 28)).parameters == 7_850


def test_what_would_fill_any_memory_is_counted_all_the_same() -> None:
    channels = {"starting_channels": 65_536, "final_channels": 65_536}
    counted = models.cost_of("classifier", (3, 224, 224), 1000, **channels)
    assert counted.params_bytes > 500 * 10**9
    assert counted.params_bytes == 4 * counted.parameters


def test_summary_is_torchinfos_table() -> None:
    table = models.summary(models.build("classifier", (3, 32, 32), 10), (3, 32, 32), batch=100)
    for line in (
        "Total params: 875,592",
        "Total mult-adds (G): 3.20",
        "Input size (MB): 1.23",
        "Forward/backward pass size (MB): 158.98",
        "Params size (MB): 3.50",
        "Estimated Total Size (MB): 163.72",
    ):
        assert line in table.splitlines()
    (linear,) = [line for line in table.splitlines() if "Linear: 2-15" in line]
    # Shapes of input and output, 30 x 10 weights and 10 biases, and as many multiply-adds for each of 100 images.
    assert linear.split()[-6:] == ["[100,", "30]", "[100,", "10]", "310", "31,000"]


def test_quick_enough_to_ask_for_every_drawn_configuration() -> None:
    models.cost_of("classifier", (3, 32, 32), 10)
    seconds = []
    for _ in range(5):
        start = time.process_time()  # whatever else the machine does
        models.cost_of("classifier", (3, 32, 32), 10)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.1  # 14 ms on one core


@pytest.mark.parametrize("name", models.names())
def test_layers_are_counted_by_type_as_torchinfo_lists_them(name: str) -> None:
    shape = models.get(name).native_input
    model = build_meta(name, shape, 10)
    listed = torchinfo.summary(model, input_data=torch.empty(1, *shape, device="meta"), mode="eval", verbose=0)
    leaves = [layer.class_name for layer in listed.summary_list if layer.is_leaf_layer]
    assert models.layer_counts(model) == dict(Counter(leaves))


def test_layers_of_the_classifier() -> None:
    assert models.layer_counts(build_meta("classifier", (3, 32, 32), 10)) == {
        "Conv2d": 6,
        "BatchNorm2d": 6,
        "Mish": 10,  # six in the stages, one before each of the four linear layers
        "FractionalPool": 6,
        "Flatten": 1,
        "Linear": 4,
    }


UNCOMPILED = """
import sys
import torch
import models

def costs():
    return [models.cost_of(name, (3, 32, 32), 10) for name in models.names()]

alone = costs()
print("torch._dynamo" in sys.modules, hasattr(sys.modules.get("torch._dynamo"), "explain"))
import torch._dynamo.config  # the real one is found, where it was
assert costs() == alone
print(len(alone), torch._dynamo.config.__name__)
"""


def test_costs_are_the_same_without_torchs_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", UNCOMPILED], capture_output=True, text=True, check=True)
    assert done.stdout == f"False False\n{len(models.names())} torch._dynamo.config\n"


def test_whatever_else_of_the_compiler_is_asked_for_is_there() -> None:
    program = (
        "import torch; from models import cost\nwith cost._without_compiler(): print(torch._dynamo.explain.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "explain\n"
