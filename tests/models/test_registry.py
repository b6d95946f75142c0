"""The table of models: names, options and the errors about them."""

from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Le, Lt, MinLen

import models

NAMES = [
    *("classifier", "mnist_mlr", "mnist_cnn", "simple_cnn", "cifar_model", "tiny_vgg"),
    *("mnist_v0", "mnist_v1", "mnist_v2", "mnist_v3", "mnist_small", "mnist_residual", "mini_resnet", "vae"),
]


def test_names() -> None:
    assert models.names() == NAMES


def test_every_entry_is_described() -> None:
    seen = 0
    for name in models.names():
        entry = models.get(name)
        assert entry.name == name
        assert entry.summary
        assert "\n" not in entry.summary
        assert entry.task == ("reconstruction" if name == "vae" else "classification")
        seen += 1
    assert seen == 14


@pytest.mark.parametrize("name", NAMES)
def test_native_images_are_those_published(name: str) -> None:
    entry = models.get(name)
    assert entry.native_input == ((1, 28, 28) if "mnist" in name or name == "simple_cnn" else (3, 32, 32))
    assert entry.native_classes == (100 if name == "cifar_model" else 10)


def test_options_of_the_classifier() -> None:
    options = models.options("classifier")
    assert {name: option.default for name, option in options.items()} == {
        "starting_channels": 46,
        "final_channels": 210,
        "cnn_layers": 6,
        "fcn_layers": 4,
        "conv_channels": (),
        "activation": "mish",
        "pooling": "fractional",
        "residual": False,
        "residual_layers": 1,
        "norm": "batch",
        "dropout": 0.0,
        "logit_scale": 1.0,
        "stage_layers": 1,
        "early_pooling": False,
        "final_size": 2,
        "global_pooling": False,
        "whitening": "none",
        "initialization": "default",
    }
    assert options["cnn_layers"].annotation == Annotated[int, Ge(1), Le(64)]
    assert options["pooling"].annotation == Literal["fractional", "max", "average"]
    assert options["norm"].annotation == Literal["batch", "batch_unscaled", "group", "none"]
    assert options["residual"].annotation is bool
    assert options["dropout"].annotation == Annotated[float, Ge(0), Lt(1)]


def test_options_of_the_testbed() -> None:
    assert models.options("mnist_mlr") == {}
    assert {o.name: o.default for o in models.options("mnist_cnn").values()} == {
        "hidden_dims": (256, 128),
        "dropout": 0.4,
    }
    options = models.options("simple_cnn")
    assert {o.name: o.default for o in options.values()} == {
        "conv_channels": (32, 64),
        "hidden_dim": 128,
        "dropout": 0.5,
    }
    width = Annotated[int, Ge(1), Le(65_536)]
    assert options["conv_channels"].annotation == Annotated[tuple[width, ...], MinLen(1)]


@pytest.mark.parametrize(
    ("name", "defaults"),
    [
        ("cifar_model", {"conv_channels": (32, 64, 128, 256), "hidden_dim": 512, "dropout": 0.5}),
        ("tiny_vgg", {"hidden_units": 64, "batch_norm": False, "dropout": 0.0}),
        ("mnist_v0", {}),
        ("mnist_v1", {"dropout": 0.05}),
        ("mnist_v2", {"dropout": 0.05}),
        ("mnist_v3", {}),
    ],
)
def test_options_of_the_published_suites(name: str, defaults: dict[str, Any]) -> None:
    assert {o.name: o.default for o in models.options(name).values()} == defaults


def test_a_plan_is_what_a_check_returns() -> None:
    plan = models.check("classifier", (3, 32, 32), 10)
    assert plan == models.plan((3, 32, 32), 10, starting_channels=46, final_channels=210, cnn_layers=6, fcn_layers=4)
    stages = models.check("vae", (3, 32, 32), 10)
    assert stages == models.StagePlan((3, 32, 51, 81, 128), (16, 8, 4, 2), 4 ** (1 / 3))
    assert models.check("simple_cnn", (3, 32, 32), 10) is None


def test_changing_the_answer_does_not_change_the_table() -> None:
    models.options("classifier").clear()
    models.names().clear()
    assert len(models.options("classifier")) == 18
    assert len(models.names()) == 14


@pytest.mark.parametrize("ask", [models.get, models.options])
def test_an_unknown_model_gets_the_list_and_the_nearest(ask: Any) -> None:
    with pytest.raises(
        models.ModelError,
        match=rf"^unknown model 'simple_cn'; did you mean simple_cnn\? Valid names: {', '.join(NAMES)}$",
    ):
        ask("simple_cn")


@pytest.mark.parametrize("name", ["", None, 3, ["classifier"]])
def test_what_is_no_name_is_an_unknown_model(name: Any) -> None:
    with pytest.raises(models.ModelError, match=r"^unknown model .*alid names: classifier, "):
        models.get(name)


@pytest.mark.parametrize("ask", [models.check, models.build, models.cost_of])
def test_an_unknown_option_gets_the_list_and_the_nearest(ask: Any) -> None:
    with pytest.raises(
        models.ModelError,
        match=r"^unknown option of simple_cnn 'hidden'; did you mean hidden_dim\? Valid names: conv_channels, hidden",
    ):
        ask("simple_cnn", (1, 28, 28), 10, hidden=64)


def test_a_model_without_options_says_so() -> None:
    with pytest.raises(models.ModelError, match=r"^unknown option of mnist_mlr 'dropout'; there are none$"):
        models.check("mnist_mlr", (1, 28, 28), 10, dropout=0.5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("classifier", {"activation": "tanh"}, r"^classifier: activation: must be 'mish', 'relu', "),
        ("classifier", {"dropout": 1.0}, r"^classifier: dropout: must be less than 1"),
        ("classifier", {"dropout": float("nan")}, r"^classifier: dropout: must be a finite number"),
        ("classifier", {"cnn_layers": 0}, r"^classifier: cnn_layers: must be greater than or equal to 1"),
        ("classifier", {"fcn_layers": 65}, r"^classifier: fcn_layers: must be less than or equal to 64"),
        ("classifier", {"starting_channels": 1.5}, r"^classifier: starting_channels: must be a valid int"),
        (
            "classifier",
            {"residual_layers": 2},
            r"^classifier: residual_layers=2 has no effect without residual=true",
        ),
        ("classifier", {"logit_scale": 0}, r"^classifier: logit_scale: must be greater than 0"),
        ("mini_resnet", {"shortcut": "none"}, r"^mini_resnet: shortcut: must be 'identity' or"),
        ("mini_resnet", {"stages": 7}, r"^mini_resnet: stages: must be less than or equal to 6"),
        ("vae", {"latent_dim": 0}, r"^vae: latent_dim: must be greater than or equal to 1"),
        ("vae", {"cnn_layers": 12}, r"^vae: cnn_layers must be 1 to 9 for images of 32 x 32"),
        (
            "mnist_cnn",
            {"hidden_dims": [0]},
            r"^mnist_cnn: hidden_dims: must be greater than or equal to 1",
        ),
        ("simple_cnn", {"conv_channels": []}, r"^simple_cnn: conv_channels: Tuple must have at least 1 item"),
    ],
)
def test_illegal_values_are_refused_in_one_line(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(models.ModelError, match=message) as caught:
        models.check(name, (3, 32, 32), 10, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("shape", [(3, 32), (3, 32, 32, 1), (0, 32, 32), (3, 0, 32), (3, 32, -1)])
def test_what_is_no_image_is_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(models.ModelError, match=rf"^{name}: images must be \(C, H, W\), each at least 1 \(got \("):
        models.check(name, shape, 10)


@pytest.mark.parametrize("name", models.names())
def test_no_classes_are_refused(name: str) -> None:
    with pytest.raises(models.ModelError, match=rf"^{name}: classes must be at least 1 \(got 0\)$"):
        models.check(name, (3, 32, 32), 0)
