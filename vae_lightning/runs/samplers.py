"""Samplers of a run: fitted to its codes, kept in `samplers/<name>.pt`, and read back.

The file has plain data and tensors only. It may come from someone else, so it is checked as a checkpoint is, and what is built is
what the run's configuration or the command says: the file only has the numbers.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import torch
from omegaconf import DictConfig
from torch import Tensor

from vae_lightning.config.fitting_sampler import build_sampler
from vae_lightning.config.plain import plain_dict
from vae_lightning.data.images import Batch, Images, pixels
from vae_lightning.errors import RunError
from vae_lightning.evaluation.elbo import evaluation_noise
from vae_lightning.evaluation.measure_result import evenly_spaced
from vae_lightning.files import atomic_write
from vae_lightning.models.samplers import Sampler
from vae_lightning.models.vae import VAE
from vae_lightning.noise import derive_seed
from vae_lightning.runs.checkpoint_schema import check_finite, check_tensors
from vae_lightning.runs.folder import Run, gives_numbers, load_vae
from vae_lightning.runs.load_images import Moved, load_split
from vae_lightning.runs.read_tensors import read_tensors
from vae_lightning.runs.write_errors import explain_write_errors

FOLDER = "samplers"
BATCH = 500  # images encoded at once
PLAIN_WORDS = r"\A[^\x00-\x1f\x7f\[\]\\]{0,300}\Z"  # without control characters and the markup of the terminal
NOT_A_SAMPLER = "is damaged or is not what the run's model and the settings make: delete it, and it is fitted anew"


class SamplerFile(msgspec.Struct):
    """What the file of a sampler holds.

    Args:
        option: its option, such as `sampler=gmm`.
        settings: its arguments.
        seed: the seed that it was fitted with.
        model: `fingerprint` of the VAE whose codes it was fitted to.
        found: what was found, in words.
        tensors: its parameters and buffers.
    """

    option: str
    settings: dict[str, Any]
    seed: int
    model: str
    found: Annotated[str, msgspec.Meta(pattern=PLAIN_WORDS)]  # it is printed
    tensors: dict[str, Any]


class Source(NamedTuple):
    """A sampler to fit or to read.

    Args:
        sampler: the sampler.
        settings: its arguments in the configuration.
        seed: the seed of the run.
        path: its file.
    """

    sampler: Sampler
    settings: dict[str, Any]
    seed: int
    path: Path


def sampler_file(folder: Path, sampler: Sampler, checkpoint: str = "best") -> Path:
    """Return the path of a sampler: `samplers/gmm.pt`, or `samplers/gmm_last.pt` for another checkpoint.

    Args:
        folder: the run folder.
        sampler: the sampler.
        checkpoint: the checkpoint whose codes it is fitted to.
    """
    return folder / FOLDER / f"{sampler.name}{'' if checkpoint == 'best' else f'_{checkpoint}'}.pt"


def fingerprint(vae: VAE) -> str:
    """Return a hash of all weights: a sampler fits only the model that made its codes."""
    digest = hashlib.blake2b(digest_size=16)
    for name, weight in sorted(vae.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def draw_codes(vae: VAE, batches: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    """Return a code z ~ q(z|x) of each training image, (N, latent_dim), and the labels, (N,); noise is keyed by example."""
    codes, labels = [], []
    for batch in batches:
        with torch.autocast(batch.images.device.type, enabled=False):
            q = vae.encode(pixels(batch.images), batch.labels)
            codes.append(q.rsample(noise=evaluation_noise(batch, "train", "sampler")).float().cpu())
        labels.append(batch.labels.cpu())
    return torch.cat(codes), torch.cat(labels)


def fit_sampler(source: Source, vae: VAE, images: Images) -> str:
    """Fit a sampler to the codes of training images, keep it in its file, and let the VAE draw from it.

    Args:
        source: the sampler and its file.
        vae: the trained VAE; changed to draw from the sampler.
        images: the training images, binarised as validation images are.

    Returns:
        What was found, in words.

    Raises:
        RunError: the fit diverged, or the file cannot be written.
    """
    sampler, device = source.sampler, next(vae.parameters()).device
    chosen = evenly_spaced(len(images), sampler.images)
    codes, labels = draw_codes(vae, (images[part].to(device) for part in chosen.split(BATCH)))
    found = f"fitted to the codes of {len(codes):,} training images: "
    found += sampler.fit(codes, derive_seed(source.seed, "sampler", sampler.name), labels)
    sampler.requires_grad_(False)
    content = SamplerFile(sampler.option, source.settings, source.seed, fingerprint(vae), found, sampler.state_dict())
    with explain_write_errors(source.path):
        source.path.parent.mkdir(exist_ok=True)
        with atomic_write(source.path) as file:
            torch.save(msgspec.structs.asdict(content), file)
    vae.use_sampler(sampler)
    return found


def read_sampler(source: Source, vae: VAE) -> str | None:
    """Read a sampler from its file, if there is one that was fitted with these settings to this model; let the VAE draw from it.

    Args:
        source: the sampler and its file.
        vae: the trained VAE; changed to draw from the sampler.

    Returns:
        What was found when it was fitted, in words; None if there is no such file.

    Raises:
        RunError: the file is damaged, or does not hold what such a sampler has.
    """
    if not source.path.is_file():
        return None
    try:
        content = msgspec.convert(read_tensors(source.path), SamplerFile, strict=True)
        fits = (content.option, content.settings, content.seed) == (source.sampler.option, source.settings, source.seed)
        if not fits or content.model != fingerprint(vae):
            return None
        source.sampler.make_room(content.tensors)
        check_tensors(source.path, content.tensors, source.sampler.state_dict())
        check_finite(source.path, content.tensors)
        source.sampler.load_state_dict(content.tensors)
    except (RunError, ValueError, RecursionError) as error:
        raise RunError(f"{source.path} {NOT_A_SAMPLER}.") from error
    source.sampler.requires_grad_(False)
    vae.use_sampler(source.sampler)
    checks, vae.checks_input = vae.checks_input, False
    if not gives_numbers(vae):
        raise RunError(f"{source.path} {NOT_A_SAMPLER}.")
    vae.checks_input = checks
    return content.found


def source_of(run: Run, vae: VAE, chosen: DictConfig | None = None) -> Source:
    """Return the sampler of a run.

    Args:
        run: the run.
        vae: its VAE.
        chosen: a configuration with a node `sampler`, which takes the place of the run's own; None for that.

    Raises:
        UserError: a setting is wrong, or the model is incompatible with it.
    """
    config = run.config.copy()
    if chosen is not None:
        config.sampler = chosen.sampler
    sampler = build_sampler(config, vae)
    settings = {name: value for name, value in plain_dict(config.sampler).items() if name != "_target_"}
    return Source(sampler, settings, run.config.seed, run.inside(str(sampler_file(Path(), sampler, run.checkpoint.stem))))


def attach_sampler(run: Run, vae: VAE, chosen: DictConfig | None = None, moved: Moved = None) -> str:
    """Let the VAE of a run draw samples from the run's sampler, or a chosen one; it is fitted first if the run does not have it.

    Args:
        run: the run.
        vae: its VAE; changed to draw from the sampler.
        chosen: see `source_of`.
        moved: where the data are now, see `load_data`.

    Returns:
        What samples are drawn from, in words.

    Raises:
        UserError: a setting is wrong, or the training images cannot be read.
        RunError: the file is damaged or cannot be written, or the fit diverged.
    """
    source = source_of(run, vae, chosen)
    if not source.sampler.is_fitted:
        vae.use_sampler(None)
        return "from the prior"
    found = read_sampler(source, vae)
    found = fit_sampler(source, vae, load_split(run, "train", moved)) if found is None else found
    return f"from {source.sampler.option}, {found}"


def load_with_sampler(run: Run) -> VAE:
    """Load the VAE of a run, on the CPU, with the sampler that its configuration names; without data, so nothing is fitted.

    Raises:
        UserError: see `load_vae`.
        RunError: see `load_vae` and `read_sampler`.
    """
    vae = load_vae(run)
    source = source_of(run, vae)
    if source.sampler.is_fitted and read_sampler(source, vae) is None:
        warnings.warn(
            f"{source.path} is missing or was fitted to other weights, so samples are drawn from the prior: "
            f"python generate.py run={run.folder} fits it.",
            stacklevel=2,
        )
    return vae
