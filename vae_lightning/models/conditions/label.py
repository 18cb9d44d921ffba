"""`condition=label`: a conditional VAE, given the label of each image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_lightning.capabilities import DENSITY
from vae_lightning.errors import InvalidValue, UserError, check_bool, check_int
from vae_lightning.models.conditions.base import Condition
from vae_lightning.models.distributions.affine import shift_and_scale
from vae_lightning.models.distributions.base import LatentDistribution
from vae_lightning.models.posteriors import Posterior
from vae_lightning.models.priors import Prior


class Label(Condition):
    """Conditional VAE: log p(x|c) ≥ E_q[log p(x|z, c)] − KL(q(z|x, c) ‖ p(z|c)), c a class (Sohn et al. 2015, section 4).

    The encoder sees c as an extra image channel, a learned plane for each class. The decoder sees it as a one-hot vector next
    to z. p(z|c) is p(z) shifted and scaled: z = m_c + s_c·z₀ with z₀ ~ p(z), where m_c and s_c are learned, starting at 0 and 1.

    Args:
        classes: number of classes; None if an image has no label.
        prior_sees_c: whether p(z) depends on c. Set it to false for latents that cannot be shifted, or if no KL trains m_c and
            s_c.

    Raises:
        UserError: an image has no label.
    """

    option = "condition=label"
    extra_channels = 1
    one_hot: Tensor

    def __init__(self, classes: int | None = None, prior_sees_c: bool = True) -> None:
        super().__init__()
        if classes is None:
            raise UserError("condition=label needs a label for each image, and some or all of these have none.")
        self.classes = self.extra_latents = check_int("classes", classes)
        self.prior_sees_c = check_bool("prior_sees_c", prior_sees_c)
        self.register_buffer("one_hot", torch.eye(classes), persistent=False)

    def set_up(self, shape: tuple[int, int, int], posterior: Posterior, prior: Prior) -> None:
        _, self.height, self.width = shape
        self.plane = nn.Parameter(0.1 * torch.randn(self.classes, self.height * self.width))
        if not self.prior_sees_c:
            return
        if posterior.space != "real":
            raise UserError(
                f"{self.option} is incompatible with {prior.option}: its latents ({posterior.space}) cannot be shifted "
                "per class; set condition.prior_sees_c=false."
            )
        if DENSITY not in posterior.capabilities:
            raise UserError(
                f"{self.option} is incompatible with {posterior.option}: it has no KL to train p(z|c); "
                "set condition.prior_sees_c=false."
            )
        self.shift = nn.Parameter(torch.zeros(self.classes, prior.top_dim))
        self.log_scale = nn.Parameter(torch.zeros(self.classes, prior.top_dim))

    def encoder_input(self, x: Tensor, c: Tensor | None) -> Tensor:
        return self._beside(x, self._rows(self.plane, c, x.shape[:1]))

    def unlabelled_encoder_input(self, x: Tensor) -> Tensor:
        """Return the mean of the planes, so that an image's code does not depend on the others in its batch."""
        return self._beside(x, self.plane.mean(0).expand(len(x), -1))

    def _beside(self, x: Tensor, planes: Tensor) -> Tensor:
        return torch.cat([x, planes.view(-1, 1, self.height, self.width).to(x.dtype)], 1)

    def decoder_input(self, z: Tensor, c: Tensor | None) -> Tensor:
        codes = self._rows(self.one_hot, c, z.shape[:-1])
        return torch.cat([z, codes.to(z.dtype).expand(*z.shape[:-1], -1)], -1)

    def prior(self, p: LatentDistribution, c: Tensor | None) -> LatentDistribution:
        return shift_and_scale(p, *self._shift_and_scale(c)) if self.prior_sees_c else p

    def shift_latents(self, z: Tensor, c: Tensor | None) -> Tensor:
        if not self.prior_sees_c:
            return z
        shift, scale = self._shift_and_scale(c)
        return shift + scale * z

    def _shift_and_scale(self, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """m_c and s_c, (batch, top_dim)."""
        return self._rows(self.shift, c), self._rows(self.log_scale, c).exp()

    def labels_for(self, c: Tensor | None, n: int, device: torch.device) -> Tensor | None:
        if c is None:
            return super().labels_for(c, n, device)
        self._rows(self.one_hot.cpu(), c.cpu(), torch.Size([n]))  # on a GPU, an index out of range would kill the process
        return c.to(device)

    def _rows(self, table: Tensor, c: Tensor | None, batch: torch.Size | None = None) -> Tensor:
        """Return the row of each c; raise UserError unless c holds valid classes, one for each image (or one for all)."""
        if c is None:
            raise UserError(f"{self.option}: pass c, the class of each image, int64 (batch,).")
        if c.is_floating_point() or c.dtype == torch.bool or (batch is not None and not _expands(c.shape, batch)):
            raise InvalidValue("c", f"{c.dtype} {tuple(c.shape)}", f"one class, int64, for each of {tuple(batch or ())}")
        try:
            return F.embedding(c, table)
        except IndexError as error:
            raise InvalidValue("c", c.tolist(), f"classes, 0 to {self.classes - 1}") from error


def _expands(shape: torch.Size, batch: torch.Size) -> bool:
    """Whether `shape` broadcasts to `batch`."""
    return len(shape) <= len(batch) and all(a in (1, b) for a, b in zip(shape[::-1], batch[::-1], strict=False))
