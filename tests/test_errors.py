from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from vae_lightning.errors import (
    InvalidValue,
    RunError,
    UserError,
    check_bool,
    check_choice,
    check_int,
    check_ints,
    check_number,
    did_you_mean,
    format_value,
    plural,
)


def test_configuration_errors_have_status_2_and_run_errors_status_1() -> None:
    assert UserError("x").status == 2
    assert InvalidValue("beta", -1, "a number").status == 2
    assert RunError("x").status == 1
    assert issubclass(RunError, UserError)
    assert issubclass(InvalidValue, ValueError)


def test_an_invalid_value_names_argument_value_and_what_is_allowed() -> None:
    error = InvalidValue("latent_dim", 0, "an integer of at least 1")
    assert str(error) == "latent_dim=0: must be an integer of at least 1."
    assert (error.name, error.value, error.allowed) == ("latent_dim", 0, "an integer of at least 1")


@pytest.mark.parametrize(
    ("check", "good", "result"),
    [
        (lambda v: check_int("x", v), 1, 1),
        (lambda v: check_int("x", v, 0), 0, 0),
        (lambda v: check_ints("x", v), [3, 1], (3, 1)),
        (lambda v: check_ints("x", v), (2,), (2,)),
        (lambda v: check_number("x", v, 0, 1), 0, 0.0),
        (lambda v: check_number("x", v, 0, 1, above=True), 1, 1.0),
        (lambda v: check_number("x", v), -3.5, -3.5),
        (lambda v: check_choice("x", v, ["a", "b"]), "b", "b"),
        (lambda v: check_bool("x", v), False, False),
    ],
)
def test_checks_return_good_values(check: Callable[[Any], Any], good: Any, result: Any) -> None:
    assert check(good) == result
    assert type(check(good)) is type(result)


@pytest.mark.parametrize(
    ("check", "bad", "allowed"),
    [
        *[(lambda v: check_int("x", v), bad, "an integer of at least 1") for bad in (0, -1, 1.0, "1", True, None)],
        *[
            (lambda v: check_ints("x", v), bad, "a list of integers of at least 1")
            for bad in ([], "12", 3, [0], [1.5], [True], None, [[1]])
        ],
        *[
            (lambda v: check_number("x", v, 0, 1), bad, "of at least 0 and at most 1")
            for bad in (-0.1, 1.1, math.nan, math.inf, "0.5", True, None)
        ],
        (lambda v: check_number("x", v, 0, above=True), 0, "a finite number above 0"),
        (lambda v: check_number("x", v, high=2), 3, "a finite number of at most 2"),
        (lambda v: check_number("x", v), math.inf, "a finite number."),
        *[(lambda v: check_choice("x", v, ["a", "b"]), bad, "one of a, b") for bad in ("c", None, 1)],
        *[(lambda v: check_bool("x", v), bad, "true or false") for bad in (1, "true", None)],
    ],
)
def test_checks_refuse_bad_values_and_say_what_is_allowed(check: Callable[[Any], Any], bad: Any, allowed: str) -> None:
    with pytest.raises(InvalidValue, match=re.escape(f"x={format_value(bad)}: must be") + ".*" + re.escape(allowed)):
        check(bad)


def test_only_a_close_word_is_suggested() -> None:
    assert did_you_mean("cnov", ["mlp", "conv", "resnet"]) == " Did you mean 'conv'?"
    assert did_you_mean("zzzz", ["mlp", "conv", "resnet"]) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"), (True, "true"), (0.5, "0.5"), (math.nan, "nan"), ("cnn", "cnn"), ("", "''"), ("1e3", "'1e3'"),
        ("true", "'true'"), ([1, None, ["a"]], "[1,null,[a]]"), ({"a": 1}, "{a:1}"),
        ("two\nlines \x1b[2J", "two\\nlines \\x1b[2J"),
        ("x" * 300, "x" * 200 + "…"),
    ],
)  # fmt: skip
def test_values_are_shown_as_they_are_typed(value: Any, text: str) -> None:
    assert format_value(value) == text


def test_one_is_singular() -> None:
    assert [plural(count, "epoch") for count in (0, 1, 2, 1000)] == ["0 epochs", "1 epoch", "2 epochs", "1,000 epochs"]
