"""Arguments of constructors: names, types, and ranges on both sides of each limit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from omegaconf import OmegaConf

from vae_lightning.config.instantiate import (
    instantiate_list,
    instantiate_node,
    known_arguments,
    source_key,
)
from vae_lightning.config.messages import one_line
from vae_lightning.config.signatures import RANGES, check_arguments, describe_type, matches_type
from vae_lightning.errors import InvalidValue, UserError
from vae_lightning.models.architectures import MLP

NAN = float("nan")


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (int, [0, -3], [True, 1.0, "1", None, [1], NAN]),
        (float, [0, 1.5], [True, "1", None, NAN, float("inf"), [1.0]]),
        (bool, [True, False], [0, 1, "true", None]),
        (str, ["", "a"], [1, None, ["a"]]),
        (None, [None], [0, ""]),
        (int | None, [1, None], [1.5, "1"]),
        (int | float | None, [1, 1.5, None], ["1", NAN]),
        (Literal["a", 1], ["a", 1], ["b", 2, True, 1.0, None]),
        (list[int], [[], [1, 2]], [1, "12", [1.5], [1, None], {"a": 1}]),
        (Sequence[float], [[1, 2.5]], [[NAN], "12", 1]),
        (Iterable[str], [["a"]], ["a", [1]]),
        (Collection[int], [[1]], [[1, "a"]]),
        (list, [[], ["a", 1]], ["a", {}]),
        (tuple[float, float], [[1, 2]], [[1], [1, 2, 3], [1, NAN], "12"]),
        (tuple[int, ...], [[], [1, 2, 3]], [[1.5], 1]),
        (dict[str, int], [{}, {"a": 1}], [[1], "a"]),
        (Mapping, [{"a": 1}], [[("a", 1)]]),
        (Path, [Path()], [1, "a"]),
        (Any, [1, "a", None, {}], []),
        ("Unknown", [1, "a"], []),
        (int, [{"_target_": "made.later"}], [{"target": 3}]),
    ],
)
def test_values_fit_types(hint: Any, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not matches_type(value, hint)] == []
    assert [value for value in bad if matches_type(value, hint)] == []


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int, "an integer"),
        (float | None, "a finite number or null"),
        (None | str | float | int, "an integer, a finite number, text or null"),
        (bool | None, "true, false or null"),
        (Literal["a", "b"], "a or b"),
        (tuple[float, float], "a list of 2, each a finite number"),
        (list[int], "a list, each item an integer"),
        (list[Path], "a list"),
        (dict[str, int], "a mapping"),
        (Path | None, "null"),
        (Path, "Path"),
    ],
)
def test_types_are_said_in_words(hint: Any, words: str) -> None:
    assert describe_type(hint) == words


# for each argument: values just inside and just outside its range
TRAINER: dict[str, tuple[list[Any], list[Any]]] = {
    "accelerator": (["cpu", "auto"], []),
    "devices": ([-1, 1024, "auto", [0, 1]], [-2, 1025]),
    "precision": (["32-true", "bf16-mixed", "16-mixed", "32", 32, "bf16", 16], ["64-true", 64, "16-true", "bf16-true", 7]),
    "max_time": (
        ["00:00:10:00", " 1:2:3:4 ", {"hours": 2}, {"days": 0, "minutes": 1.5}],
        ["soon", "10:00", "1:2:3:4:5", {}, {"years": 1}, {"hours": -1}, {"hours": "2"}, 3],
    ),
    "num_nodes": ([1, 10000], [0, 10001]),
    "fast_dev_run": ([0, 3, True], [-1]),
    "max_epochs": ([-1, 1, 5], [-2, 0]),
    "min_epochs": ([0], [-1]),
    "max_steps": ([-1], [-2]),
    "min_steps": ([0], [-1]),
    "limit_train_batches": ([7, 0.01, 1.0], [0, 0.0, -1, -0.1, 1.5]),
    **dict.fromkeys(("limit_val_batches", "overfit_batches"), ([0, 7, 0.0, 1.0], [-1, -0.1, 1.5])),
    "val_check_interval": ([1, 0.01, 2.0], [0, 0.0, -1]),
    "check_val_every_n_epoch": ([1], [0]),
    "num_sanity_val_steps": ([-1, 0], [-2]),
    "log_every_n_steps": ([1], [0]),
    "accumulate_grad_batches": ([1], [0]),
    "gradient_clip_val": ([0, 0.5], [-0.1, NAN, "1"]),
    "gradient_clip_algorithm": (["norm", "value"], ["none"]),
    "reload_dataloaders_every_n_epochs": ([0], [-1]),
}
ADAM: dict[str, tuple[list[Any], list[Any]]] = {"eps": ([0, 1e-8], [-1e-8, NAN]), "weight_decay": ([0], [-0.1])}
LIMITS: dict[str, dict[str, tuple[list[Any], list[Any]]]] = {
    "lightning.pytorch.Trainer": TRAINER,
    "vae_lightning.training.callbacks.EarlyStopping": {
        "min_delta": ([0, 0.5], [-0.1]), "patience": ([0], [-1]), "mode": (["min", "max"], ["most"]),
    },
    "lightning.pytorch.loggers.CSVLogger": {"flush_logs_every_n_steps": ([1], [0])},
    "torch.optim.SGD": {"momentum": ([0, 0.9], [-0.1, NAN]), "weight_decay": ([0], [-0.1])},
    "torch.optim.Adam": ADAM,
    "torch.optim.AdamW": ADAM,
}  # fmt: skip


def test_every_range_has_its_limits_here() -> None:
    assert {path: set(checks) for path, checks in RANGES.items()} == {path: set(checks) for path, checks in LIMITS.items()}


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, names in LIMITS.items() for name in names])
def test_ranges_at_both_sides_of_their_limits(path: str, name: str) -> None:
    good, bad = LIMITS[path][name]
    for value in good:
        RANGES[path][name](name, value)
    for value in bad:
        with pytest.raises(InvalidValue, match=f"^{name}="):
            RANGES[path][name](name, value)


def test_a_gpu_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    check = RANGES["lightning.pytorch.Trainer"]["accelerator"]
    for cuda, refused in ((False, ["gpu", "cuda", "mps"]), (True, ["mps"])):
        monkeypatch.setattr("torch.cuda.is_available", lambda cuda=cuda: cuda)
        found = []
        for value in ("gpu", "cuda", "mps", "cpu", "auto"):
            try:
                check("accelerator", value)
            except InvalidValue:
                found.append(value)
        assert found == refused


class Takes:
    """A class that does not check its own arguments, since its module is not part of vae_lightning."""

    def __init__(self, width: int, height: float = 1.0, *, name: str | None = None) -> None:
        self.width, self.height, self.name = width, height, name


class TakesPart:
    def __init__(self, width: int, height: int, part: Any) -> None:
        self.width, self.height, self.part = width, height, part


class TakesAll:
    def __init__(self, **more: int) -> None:
        self.more = more


HERE = __name__


@pytest.mark.parametrize(
    ("values", "given", "sentence"),
    [
        ({"width": 1, "height": 2}, (), None),
        ({}, ("width",), None),
        ({"_partial_": True}, (), None),
        ({"_convert_": "all", "width": 1}, (), None),
        ({"width": 1, "widht": 1}, (), "box.widht=1: Takes takes no such argument. Did you mean 'width'? It takes width, height, "
                                       "name."),
        ({"nmae": 1}, ("width",), "box.nmae=1: Takes takes no such argument. Did you mean 'name'? It takes height, name."),
        ({"_partial_": True, "x": 1}, (), "box.x=1: Takes takes no such argument. It takes height, name."),
        ({"height": 2}, (), "box.width is not set: Takes needs it (add box.width=…)."),
        ({"width": 1.5}, (), "width=1.5: must be an integer."),
        ({"width": 1, "name": 3}, (), "name=3: must be text or null."),
    ],
)  # fmt: skip
def test_arguments_are_checked_by_the_signature(values: dict[str, Any], given: tuple[str, ...], sentence: str | None) -> None:
    if sentence is None:
        check_arguments("box", f"{HERE}.Takes", Takes, values, given)
        return
    with pytest.raises(UserError) as error:
        check_arguments("box", f"{HERE}.Takes", Takes, values, given)
    assert str(error.value) == sentence


def test_what_takes_any_argument_is_let_alone() -> None:
    check_arguments("box", f"{HERE}.TakesAll", TakesAll, {"anything": 1}, ())
    check_arguments("box", "builtins.dict", dict, {"anything": 1}, ())


def test_ranges_are_looked_up_by_the_exact_name_and_null_is_left_alone() -> None:
    check_arguments("trainer", "lightning.pytorch.Trainer", TakesAll, {"gradient_clip_val": None}, ())
    check_arguments("trainer", "lightning.pytorch.trainer.Trainer", TakesAll, {"gradient_clip_val": -1}, ())
    with pytest.raises(InvalidValue, match="gradient_clip_val=-1"):
        check_arguments("trainer", "lightning.pytorch.Trainer", TakesAll, {"gradient_clip_val": -1}, ())


def test_our_own_classes_check_their_types_themselves() -> None:
    class Mine(MLP):
        """A user's class that inherits our constructor."""

    for target in (MLP, Mine):
        check_arguments("model", "any", target, {"hidden": "three"}, ())
        with pytest.raises(UserError, match="takes no such argument"):
            check_arguments("model", "any", target, {"hiden": 3}, ())


def test_known_values_go_to_every_constructor_that_takes_them() -> None:
    inner = {"_target_": f"{HERE}.Takes"}
    config = OmegaConf.create({"box": {"_target_": f"{HERE}.TakesPart", "height": 2, "part": inner}})
    known = {"width": 7, "height": 8, "depth": 9}
    assert known_arguments(config.box, known) == {"width": 7}
    box = instantiate_node(config, "box", known)
    assert (box.width, box.height, box.part.width, box.part.height) == (7, 2, 7, 8)


def test_an_error_of_a_part_names_the_key_of_the_part() -> None:
    config = OmegaConf.create(
        {"box": {"_target_": f"{HERE}.TakesPart", "width": 1, "height": 2, "part": {"_target_": f"{HERE}.MLP"}}}
    )
    config.box.part.hidden = [0]
    with pytest.raises(InvalidValue, match=r"^box\.part\.hidden=\[0\]: must be"):
        instantiate_node(config, "box")
    config.box.part = {"_target_": f"{HERE}.Takes", "width": "wide"}
    with pytest.raises(InvalidValue, match=r"^box\.part\.width=wide: must be an integer"):
        instantiate_node(config, "box")


def test_an_object_is_made_of_plain_values_and_its_errors_name_the_key() -> None:
    config = OmegaConf.create(
        {
            "size": 2.5,
            "box": {"_target_": f"{HERE}.Takes", "width": "${size}", "height": 1},
            "kept": {"_target_": f"{HERE}.TakesAll"},
        }
    )
    with pytest.raises(InvalidValue, match=r"^size=2\.5: must be an integer\.$"):
        instantiate_node(config, "box")
    config.size = 3
    assert instantiate_node(config, "box").width == 3
    assert type(instantiate_node(config, "kept", more=[1]).more["more"]) is list
    assert (source_key(config, "box", "width"), source_key(config, "box", "height")) == ("size", "box.height")
    assert (source_key(config, "box", "size"), source_key(config, "box", "name")) == ("size", "box.name")


@pytest.mark.parametrize("nodes", ["abc", 3, [1], [{"width": 1}], {"_target_": "x"}])
def test_a_list_of_objects_is_one(nodes: Any) -> None:
    config = OmegaConf.create({"plugins": nodes, "none": None, "boxes": [{"_target_": f"{HERE}.Takes", "width": 1}]})
    with pytest.raises(InvalidValue, match=r"^plugins=.*null or a list of mappings that have a _target_"):
        instantiate_list(config, "plugins")
    assert instantiate_list(config, "none") == []
    assert [box.width for box in instantiate_list(config, "boxes")] == [1]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a\n  b\nfull_key: model\nobject_type=dict"), "a b."),
        (KeyError("x"), "KeyError 'x'."),
        (ValueError(), "ValueError."),
        (ValueError("what is wrong!"), "what is wrong."),
    ],
)
def test_errors_of_libraries_are_one_line(error: Exception, line: str) -> None:
    assert one_line(error) == line
