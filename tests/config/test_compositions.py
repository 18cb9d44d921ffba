"""Options of different groups are compatible, or are refused in one sentence; docs/compositions.md says which."""

from __future__ import annotations

import random
import re
import runpy
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from tests.running import REPOSITORY
from vae_lightning.capabilities import DENSITY
from vae_lightning.errors import UserError
from vae_lightning.noise import StreamNoise
from vae_lightning.schedules.beta import RunLength

compositions = runpy.run_path(str(REPOSITORY / "docs" / "compositions.py"))
GROUPS, TRAINING = compositions["GROUPS"], compositions["TRAINING"]
Choices = tuple[tuple[str, str], ...]
ONE_SENTENCE = re.compile(r"[\w/]+[=.][^\n]*[^.\s]\.")


def some(number: int, together: int, groups: Iterable[str]) -> list[Choices]:
    return random.Random(0).sample(list(compositions["across"](groups, together)), number)


def trouble(choices: Choices) -> str | None:
    """What is wrong with a composition that is neither refused in one sentence nor trains for a step with all its gradients."""
    try:
        module = compositions["built"](choices)
    except UserError as error:
        return None if ONE_SENTENCE.fullmatch(str(error)) else f"refused by {error}"
    return without_gradient(module)


def without_gradient(module: Any) -> str | None:
    """Computes the loss of a step and its gradient."""
    module.beta_schedule.begin(RunLength(8, 4))
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()
    noise = StreamNoise(torch.Generator(), 0)
    losses = module.objective(module.vae, images, module.beta_schedule(3), noise, torch.tensor([3, 0, 9, 3]))
    module.beta_schedule.observe(losses)
    losses["loss"].backward()
    bad = [name for name, value in losses.items() if not value.isfinite().all()]
    bad += [name for name, p in module.named_parameters() if not may_be_idle(module, name) and not is_finite(p.grad)]
    return f"no finite {', '.join(bad)}" if bad else None


def is_finite(gradient: torch.Tensor | None) -> bool:
    return gradient is not None and bool(gradient.isfinite().all())


def may_be_idle(module: Any, name: str) -> bool:
    """A plain auto-encoder never evaluates the prior's density: only the draws of a penalty train its shifts per class."""
    return name.startswith("vae.condition.") and DENSITY not in module.vae.posterior.capabilities


def troubles(tried: Iterable[Choices]) -> dict[Choices, str]:
    torch.manual_seed(0)
    return {choices: found for choices in tried if (found := trouble(choices)) is not None}


def test_a_sample_of_pairs_and_triples_trains_a_step_or_is_refused() -> None:
    assert troubles([*some(75, 2, (*GROUPS, *TRAINING)), *some(40, 3, (*GROUPS, *TRAINING))]) == {}


@pytest.mark.slow
def test_every_pair_trains_a_step_or_is_refused() -> None:
    assert troubles(compositions["across"]((*GROUPS, *TRAINING))) == {}


@pytest.mark.slow
def test_many_triples_train_a_step_or_are_refused() -> None:
    assert troubles(some(1500, 3, (*GROUPS, *TRAINING))) == {}


def test_a_gradient_that_is_missing_or_not_finite_is_seen() -> None:
    module = compositions["built"]((("prior", "mixture"),))
    module.vae.unused = torch.nn.Linear(1, 1)
    assert without_gradient(module) == "no finite vae.unused.weight, vae.unused.bias"
    module = compositions["built"]((("prior", "mixture"),))
    module.vae.latent_prior.mean.data.fill_(torch.nan)
    assert "vae.latent_prior.mean" in (without_gradient(module) or "")


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        (
            (("posterior", "von_mises_fisher"), ("prior", "standard_normal")),
            "its latents are 4 numbers (sphere), and the prior's 4",
        ),
        ((("posterior", "delta"), ("objective/bound", "iwae")), "it needs a density q(z|x)"),
        ((("objective/bound", "iwae"), ("objective/kl", "free_bits")), "which has no KL term."),
        (
            (("objective/bound", "iwae"), ("beta_schedule", "linear")),
            "(bound=iwae gradient=reparameterised kl=plain penalty=none)",
        ),
        ((("objective/gradient", "stl"), ("objective/kl", "free_bits")), "that gradient estimates the KL from draws."),
        ((("objective/penalty", "tc"), ("posterior", "full_covariance")), "it needs independent latent dimensions"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(choices: Choices, reason: str) -> None:
    sentence = compositions["refusal"](choices)
    assert reason in sentence
    assert all(option in sentence for _, option in choices)


@pytest.mark.parametrize(
    "choices",
    [
        (("posterior", "joint"), ("objective/bound", "miwae")),
        (("posterior", "categorical"), ("prior", "mixture"), ("model", "conv")),
        (("objective/gradient", "dreg"), ("objective/bound", "iwae"), ("beta_schedule", "control")),
    ],
)
def test_options_put_together_are_what_hydra_composes(choices: Choices) -> None:
    together = compositions["composition"](choices)
    by_hydra = compositions["composed"](*(f"{group}={option}" for group, option in choices))
    assert OmegaConf.to_container(together, resolve=True) == OmegaConf.to_container(by_hydra, resolve=True)


def page() -> str:
    return (REPOSITORY / "docs" / "compositions.md").read_text(encoding="utf-8")


def verdicts(text: str) -> dict[Choices, bool]:
    """Whether each pair is compatible, according to the matrices of the page."""
    found: dict[Choices, bool] = {}
    for first, second, rest in re.findall(r"\| `(\S+)` ↓ `(\S+)` → (\|.+?)\n\n", text, flags=re.DOTALL):
        head, _, *rows = [[cell.strip() for cell in line.strip(" |").split("|")] for line in rest.splitlines()]
        for option, *cells in rows:
            found |= {((first, option), (second, b)): cell == "✓" for b, cell in zip(head, cells, strict=True)}
    return found


def test_the_page_says_what_a_sample_of_pairs_does() -> None:
    text, pairs = page(), list(compositions["across"](GROUPS))
    said = verdicts(text)
    assert set(said) <= set(pairs)
    no = sorted(pair for pair, goes in said.items() if not goes)
    assert f"{len(pairs):,} pairs were tested: {len(pairs) - len(no):,} are compatible, {len(no)} are not." in text
    for pair in [*random.Random(0).sample(pairs, 60), *random.Random(0).sample(no, 40)]:
        sentence = compositions["refusal"](pair)
        assert said.get(pair, True) == (sentence is None), f"{pair}: run make docs"
        assert sentence is None or sentence.replace("|", "\\|") in text, f"{sentence}: run make docs"


@pytest.mark.slow
def test_the_page_says_what_every_pair_does() -> None:
    assert compositions["page"](compositions["refusals"]()) in page(), "run make docs"


def test_the_discriminator_sees_every_layer() -> None:
    module = compositions["built"]((("hierarchy", "two_layer"), ("objective/penalty", "factor")))
    assert module.objective.penalty.discriminator[0].in_features == 6 + 4
    assert without_gradient(module) is None
