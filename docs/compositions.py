"""Which options are compatible: builds every pair of options of different groups; `make docs` writes docs/compositions.md.

Each pair is composed as Hydra does it, with defaults for everything else, and built like a run, at tiny sizes. It either works or
ends with a one-sentence error. tests/config/test_compositions.py also trains a step with each pair, and tries triples.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from hydra import compose
from omegaconf import DictConfig, OmegaConf

from vae_lightning.config import build
from vae_lightning.config import instantiate as instantiation
from vae_lightning.config.builtin import conf_dir
from vae_lightning.config.compose import hydra_composer
from vae_lightning.config.fitting_sampler import build_sampler
from vae_lightning.data.base import DataSpec
from vae_lightning.errors import UserError
from vae_lightning.training import build as training_build
from vae_lightning.training import parts

PAGE = Path(__file__).parent / "compositions.md"
PARTS = ("bound", "gradient", "kl", "penalty")
MODEL = ("model", "posterior", "prior", "hierarchy", "condition", "likelihood")
GROUPS = (*MODEL, *(f"objective/{part}" for part in PARTS), "beta_schedule", "sampler")
TRAINING = ("optimizer", "lr_schedule")  # compatible with everything
TOP = (*MODEL, "beta_schedule", "sampler", *TRAINING)
FACTS = DataSpec(shape=(1, 8, 8), mean=0.3, classes=10, train_size=16)
# applied to the nodes that have such a key
SIZES: Mapping[str, Mapping[str, Any]] = {
    "model": {"hidden": [8], "channels": [2, 4], "groups": 2},
    "posterior": {"hidden": [8], "steps": 2, "context": 3},
    "prior": {"hidden": [8], "pseudo_inputs": 3, "components": 3},
    "hierarchy": {"z1_dim": 6, "hidden": [8, 8], "dims": [6], "widths": [8]},
    "objective.bound": {"samples": 4, "groups": 2},
    "objective.penalty": {"hidden": [8]},
    "sampler": {"hidden": [8], "components": 2, "steps": 3},
}
LATENT_DIM = 4
Choice = tuple[str, str]  # (group, option)
BLOCK = re.compile(r"(<!-- compositions -->\n).*(?=<!-- end -->)", re.DOTALL)


def options(group: str) -> list[str]:
    """Options that can be combined; `auto` stands for one of the others."""
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml") if path.stem != "auto")


def across(groups: Iterable[str], number: int = 2) -> Iterator[tuple[Choice, ...]]:
    """All pairs (triples …) of options of different groups, in the order of the groups."""
    for chosen in itertools.combinations(groups, number):
        yield from itertools.product(*([(group, option) for option in options(group)] for group in chosen))


@cache
def composed(*overrides: str) -> DictConfig:
    """The model and training part of train.yaml with `overrides`, at tiny sizes, with interpolations unresolved."""
    with hydra_composer([]):
        config = compose("train", overrides=[f"latent_dim={LATENT_DIM}", *overrides], return_hydra_config=True)
    choices = config.hydra.runtime.choices
    OmegaConf.set_struct(config, False)
    for key, sizes in SIZES.items():
        node = OmegaConf.select(config, key)
        node.update({name: value for name, value in sizes.items() if name in node})
    kept = {key: config._get_node(key) for key in (*TOP, "objective", "latent_dim", "beta", "seed", "trainer")}
    return OmegaConf.create(
        {**kept, "choices": {group: choices[group] for group in ("objective", *GROUPS, *TRAINING)}, "data_spec": FACTS.as_dict()}
    )


@cache
def alone() -> dict[Choice, DictConfig]:
    """Each option → a configuration that contains it. To save time, one configuration serves an option of every group.

    Posteriors are composed alone, because some of them also select a prior.
    """
    groups = [group for group in (*GROUPS, *TRAINING) if group != "posterior"]
    found = {("posterior", option): composed(f"posterior={option}") for option in options("posterior")}
    for chosen in itertools.zip_longest(*([(group, option) for option in options(group)] for group in groups)):
        there = [choice for choice in chosen if choice is not None]
        config = composed(*(f"{group}={option}" for group, option in there))
        found |= dict.fromkeys(there, config)
    return found


def composition(choices: Iterable[Choice]) -> DictConfig:
    """The configuration for these choices, assembled from those of the single options, which is much faster than composing.

    An explicitly chosen prior overrides the one that the posterior selects. A prior that a posterior selects is tried with that
    posterior, unless another one was chosen.
    """
    chosen, default = dict(choices), composed()
    if "posterior" not in chosen and chosen.get("prior") in bringers():
        chosen["posterior"] = bringers()[chosen["prior"]]
    source = {group: alone()[group, option] for group, option in chosen.items()}
    if "posterior" in chosen:
        source.setdefault("prior", source["posterior"])
    nodes = {group: source.get(group, default)._get_node(group) for group in TOP}
    parts = {part: source.get(f"objective/{part}", default).objective._get_node(part) for part in PARTS}
    names = {group: config.choices[group] for group, config in source.items()}
    rest = {key: default._get_node(key) for key in ("latent_dim", "beta", "seed", "trainer", "data_spec")}
    objective = {**parts, "_target_": default.objective._target_}
    return OmegaConf.create({**rest, **nodes, "objective": objective, "choices": {**default.choices, **names}})


@cache
def bringers() -> dict[str, str]:
    """Prior → the posterior that selects it."""
    priors = {alone()["posterior", option].choices.prior: option for option in options("posterior")}
    return {prior: option for prior, option in priors.items() if prior != composed().choices.prior}


def remembered() -> Callable[..., Any]:
    """A cached `instantiate_node` that builds each object once and returns copies: instantiation takes most of the build time."""
    made: dict[str, Any] = {}

    def make(config: DictConfig, key: str, known: Mapping[str, Any] | None = None, **given: Any) -> Any:
        node = OmegaConf.to_container(OmegaConf.select(config, key), resolve=True)
        recipe = str((key, node, known, given, torch.get_default_device()))
        if recipe not in made:
            made[recipe] = instantiation.instantiate_node(config, key, known, **given)
        return copy.deepcopy(made[recipe])

    return make


MAKE = remembered()


def built(choices: Iterable[Choice]) -> Any:
    """The LightningModule of a composition; raises UserError if it is incompatible."""
    return module_of(composition(choices))


def module_of(config: DictConfig) -> Any:
    with mock.patch.object(build, "instantiate_node", MAKE), mock.patch.object(parts, "instantiate_node", MAKE):
        vae, recipe = build.build_vae(config, FACTS), parts.build_recipe(config)
        build_sampler(config, vae)
        return training_build.build_module(config, vae, parts.build_objective(config, vae), recipe, dynamic=False)


def refusal(choices: Iterable[Choice]) -> str | None:
    """The error message of a composition, or None if it works."""
    try:
        built(choices)
    except UserError as error:
        return str(error)
    return None


def refusals(groups: Iterable[str] = GROUPS) -> dict[tuple[Choice, ...], str | None]:
    """For every pair of options across `groups`, its error message or None."""
    return {pair: refusal(pair) for pair in across(groups)}


def page(found: Mapping[tuple[Choice, ...], str | None]) -> str:
    """A matrix for every two groups with an incompatible pair, with the messages below; then a list of the other groups."""
    tables, agreed = [], []
    for first, second in itertools.combinations(GROUPS, 2):
        cells = {(a, b): found[(first, a), (second, b)] for a in options(first) for b in options(second)}
        if any(cells.values()):
            tables.append(matrix(first, second, cells))
        else:
            agreed.append(f"`{first}` and `{second}`")
    refused = sum(map(bool, found.values()))
    count = f"{len(found):,} pairs were tested: {len(found) - refused:,} are compatible, {refused} are not."
    return "\n".join([count, "", *tables, "## Always compatible", "", "; ".join(agreed) + ".", ""])


def matrix(first: str, second: str, cells: Mapping[tuple[str, str], str | None]) -> str:
    rows = [[f"`{first}` ↓ `{second}` →", *options(second)], ["---", *(":-:" for _ in options(second))]]
    rows += [[a, *("–" if cells[a, b] else "✓" for b in options(second))] for a in options(first)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    sentences = [f"- {sentence}".replace("|", "\\|") for sentence in dict.fromkeys(filter(None, cells.values()))]
    heading = f"## {first} and {second}"
    return "\n".join([heading, "", *lines, "", "<details><summary>Why</summary>", "", *sentences, "", "</details>", ""])


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    made = page(refusals())
    PAGE.write_text(BLOCK.sub(lambda match: match[1] + "\n" + made + "\n", text), encoding="utf-8")


if __name__ == "__main__":
    main()
