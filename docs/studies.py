"""The runs of docs/variants.md: which settings are compared, with which metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ALWAYS = ("data=mnist", "trainer=cpu", "callbacks=minimal", "logger=none")
NATS = {"ELBO": "elbo", "reconstruction": "reconstruction", "KL": "kl"}


@dataclass(frozen=True)
class Study:
    """Runs to compare: each of the named `settings` with each seed, and the `common` settings of all of them.

    columns: heading of the table → metric of evaluate.py. measures: the arguments of evaluate.py that compute these metrics.
    errors: whether the table gives the standard error over seeds instead of the range.
    """

    common: str
    settings: Mapping[str, str]
    columns: Mapping[str, str]
    seeds: Sequence[int] = (0,)
    measures: Sequence[str] = ("measures=[]",)
    errors: bool = False

    def arguments(self, setting: str) -> list[str]:
        """The arguments of train.py, except for the data folder, the seed and the name."""
        return [*ALWAYS, *self.common.split(), *self.settings[setting].split()]


STUDIES = {
    "collapse": Study(
        "model.hidden=[256,128] latent_dim=32 trainer.max_epochs=12",
        {
            "constant": "beta=4",
            "linear": "beta=4 beta_schedule=linear beta_schedule.warmup=0.75",
            "cyclical": "beta=4 beta_schedule=cyclical",
            "free_bits": "beta=4 objective=free_bits objective.kl.nats=0.25",
        },
        {**NATS, "active units of 32": "active_units"},
        seeds=(0, 1),
    ),
    "target": Study(
        "model.hidden=[256,128] latent_dim=16 trainer.max_epochs=10",
        {
            "control_5": "beta_schedule=control beta_schedule.target.value=5",
            "control_15": "beta_schedule=control beta_schedule.target.value=15",
            "control_25": "beta_schedule=control beta_schedule.target.value=25",
            "geco_120": "beta_schedule=geco beta_schedule.target=120",
            "geco_100": "beta_schedule=geco beta_schedule.target=100",
            "geco_80": "beta_schedule=geco beta_schedule.target=80",
        },
        {"KL": "kl", "reconstruction": "reconstruction"},
    ),
    "sigma": Study(
        "model.hidden=[256,128] latent_dim=32 trainer.max_epochs=6",
        {
            "fixed_1": "likelihood=gaussian likelihood.sigma=1",
            "fixed_0.1": "likelihood=gaussian likelihood.sigma=1 beta=0.1",
            "fixed_0.01": "likelihood=gaussian likelihood.sigma=1 beta=0.01",
            "optimal": "likelihood=gaussian_optimal",
        },
        {"Fréchet distance": "frechet_distance", "squared error of a pixel": "mse", "KL": "kl", "ELBO": "elbo"},
        measures=("measures=[reconstructions,samples]", "samples.images=3000"),
    ),
    "vamp": Study(
        "model.hidden=[300,300] latent_dim=40 trainer.max_epochs=10",
        {
            "standard_normal": "prior=standard_normal",
            "vamp": "prior=vamp prior.pseudo_inputs=200",
        },
        {"NLL": "nll", **NATS, "active units of 40": "active_units"},
        measures=("measures=[nll]", "nll.samples=200", "nll.images=1000"),
    ),
    "tc": Study(
        "model.hidden=[256,128] latent_dim=10 trainer.max_epochs=8",
        {
            "elbo_2": "objective=elbo beta=2",
            "elbo_4": "objective=elbo beta=4",
            "beta_tc_4": "objective=beta_tc beta=4",
            "beta_tc_8": "objective=beta_tc beta=8",
        },
        {"total correlation": "total_correlation", "mutual information": "mutual_information", **NATS},
        seeds=(0, 1),
        measures=("measures=[latents]", "latents.images=10000", "latents.points=2000"),
    ),
    "samplers": Study(
        "model.hidden=[256,128] latent_dim=16 trainer.max_epochs=4 data.batch_size=256",
        {
            "ae_prior": "posterior=delta likelihood=gaussian likelihood.sigma=1 sampler=prior",
            "ae_gmm": "posterior=delta likelihood=gaussian likelihood.sigma=1 sampler=gmm",
            "rae_prior": "posterior=delta objective=rae beta=0.01 likelihood=gaussian likelihood.sigma=1 sampler=prior",
            "rae_gmm": "posterior=delta objective=rae beta=0.01 likelihood=gaussian likelihood.sigma=1 sampler=gmm",
            "vae_prior": "likelihood=gaussian_optimal sampler=prior",
            "vae_gmm": "likelihood=gaussian_optimal sampler=gmm",
            "vae_two_stage": "likelihood=gaussian_optimal sampler=two_stage",
        },
        {
            "Fréchet distance": "frechet_distance",
            "precision": "precision",
            "recall": "recall",
            "squared error of a pixel": "mse",
        },
        seeds=(0, 1, 2),
        measures=("measures=[reconstructions,samples]", "samples.images=3000"),
        errors=True,
    ),
}
