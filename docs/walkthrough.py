"""One mini-batch of real digits through one training step of a VAE, with what it prints at each step.

Run the whole script (`python docs/walkthrough.py`, less than a minute on a CPU), or one cell at a time in an editor that
supports `# %%`. The explanation is docs/how_it_works.md, which shows the values printed here.
"""

# %% data
import math

import torch

from vae_lightning.data.binarization import bernoulli_pixels
from vae_lightning.data.mnist5k import MNIST5k

splits = MNIST5k().splits()
generator = torch.Generator().manual_seed(0)
x = bernoulli_pixels(splits["train"].images[:64], generator)
print(f"x: {tuple(x.shape)}, every pixel 0 or 1, {x.mean():.1%} of them 1")

# %% model
from vae_lightning.models.architectures import MLP
from vae_lightning.models.likelihoods import Bernoulli
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE

torch.manual_seed(0)
vae = VAE(MLP(hidden=(256, 128)), Diagonal(2), StandardNormal(2), Bernoulli((1, 28, 28)))
encoder, decoder = (sum(p.numel() for p in part.parameters()) for part in (vae.encoder, vae.decoder))
print(f"encoder: 784 pixels → 256 → 128 → 2·2 numbers, {encoder:,} weights (φ)")
print(f"decoder: 2 numbers → 128 → 256 → 784 pixels, {decoder:,} weights (θ)")

# %% encode
from vae_lightning.models.distributions.diagonal_normal import DiagonalNormal

q = vae.encode(x)
assert isinstance(q, DiagonalNormal)
mu, sigma = q.mean, q.stddev
print(f"μ: {tuple(mu.shape)}, σ: {tuple(sigma.shape)}")
print(f"first digit: μ = ({mu[0, 0]:.3f}, {mu[0, 1]:.3f}), σ = ({sigma[0, 0]:.3f}, {sigma[0, 1]:.3f})")

# %% sample
epsilon = torch.randn(mu.shape, generator=generator)
z = mu + sigma * epsilon
print(f"ε: {tuple(epsilon.shape)}, first: ({epsilon[0, 0]:.3f}, {epsilon[0, 1]:.3f})")
print(f"z = μ + σ·ε: {tuple(z.shape)}, first: ({z[0, 0]:.3f}, {z[0, 1]:.3f})")

# %% decode
p = vae.decode(z)
print(
    f"p(x|z): a probability for each pixel, {tuple(p.mean.shape)}; untrained, between {p.mean.min():.2f} and {p.mean.max():.2f}"
)

# %% terms
from torch.distributions import kl_divergence

reconstruction = -p.log_prob(x)
kl = kl_divergence(q, vae.prior())  # type: ignore[arg-type]
elbo = -(reconstruction + kl)
print(f"one number for each image: {tuple(reconstruction.shape)}")
print(f"a coin for each pixel would take 784·log 2 = {784 * math.log(2):.1f} nats")
print(f"reconstruction {reconstruction.mean():.2f} + kl {kl.mean():.2f} = −elbo {-elbo.mean():.2f} nats per image")


# %% measures
def length(part: torch.nn.Module) -> float:
    return float(torch.cat([w.grad.flatten() for w in part.parameters() if w.grad is not None]).norm())


def elbo_of(images: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """The ELBO of each image, by the same three steps, for images (batch, 1, 28, 28) and ε (batch, 2)."""
    q = vae.encode(images)
    assert isinstance(q, DiagonalNormal)
    z = q.mean + q.stddev * noise
    return vae.decode(z).log_prob(images) - kl_divergence(q, vae.prior())  # type: ignore[arg-type]


# %% step
optimizer = torch.optim.Adam(vae.parameters(), lr=2e-3)  # of all weights, φ and θ
loss = -elbo.mean()
loss.backward()
print(f"one backward pass: gradient of length {length(vae.encoder):.2f} in the encoder, {length(vae.decoder):.2f} in the decoder")
optimizer.step()
print(f"elbo of the same digits with the same ε: before {elbo.mean():.2f}, after one step {elbo_of(x, epsilon).mean():.2f}")

# %% train
from vae_lightning.objectives import Objective

objective, train = Objective(), splits["train"]
optimizer = torch.optim.Adam(vae.parameters(), lr=2e-3)
for _ in range(20):
    for places in torch.randperm(len(train), generator=generator).split(64):
        losses = objective(vae, bernoulli_pixels(train[places].images, generator))
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
print(", ".join(f"{name} {value.item():.2f}" for name, value in losses.items()), "(the last mini-batch of 20 epochs)")

# %% after
test = bernoulli_pixels(splits["test"].images, generator)
q = vae.encode(test)
assert isinstance(q, DiagonalNormal)
epsilon = torch.randn(q.mean.shape, generator=generator)
print(f"first test digit: μ = ({q.mean[0, 0]:.3f}, {q.mean[0, 1]:.3f}), σ = ({q.stddev[0, 0]:.3f}, {q.stddev[0, 1]:.3f})")
print(f"test elbo {elbo_of(test, epsilon).mean():.2f} nats per image")

# %% pulls
mu, log_sigma = q.mean.detach().requires_grad_(), q.stddev.log().detach().requires_grad_()
z = mu + log_sigma.exp() * epsilon
(of_reconstruction,) = torch.autograd.grad(-vae.decode(z).log_prob(test).mean(), log_sigma)
(of_kl,) = torch.autograd.grad(kl_divergence(DiagonalNormal(mu, log_sigma.exp()), vae.prior()).mean(), log_sigma)  # type: ignore[arg-type]
print("mean slope along log σ, in nats: descent goes against it")
print(f"  reconstruction {of_reconstruction.sum(0).mean():+.2f}: wants σ smaller, so that the decoder knows where z is")
print(f"  kl             {of_kl.sum(0).mean():+.2f}: wants σ larger, towards the prior's 1")

# %% kl
m, s = q.mean[0], q.stddev[0]
print("first test digit, dimension by dimension: μ²/2 + (σ² − 1)/2 − log σ")
for j in range(2):
    terms = (m[j] ** 2 / 2, (s[j] ** 2 - 1) / 2, -s[j].log())
    print(f"  z{j + 1}: {terms[0]:.3f} {terms[1]:+.3f} {terms[2]:+.3f} = {sum(terms):.3f} nats")

# %% estimators
image, draws = test[:1], 4000
with torch.no_grad():
    q1 = vae.encode(image)
    assert isinstance(q1, DiagonalNormal)
mu, sigma = q1.mean[0], q1.stddev[0]
noise = torch.randn(draws, 2, generator=generator)
z = (mu + sigma * noise).requires_grad_()
f = vae.decode(z).log_prob(image)
(path,) = torch.autograd.grad(f.sum(), z)  # reparameterised: ∇_μ f(μ + σε) = ∇_z f(z)
score = f.detach()[:, None] * noise / sigma  # score function: f(z)·∇_μ log q(z) = f(z)·ε/σ
centred = (f - f.mean()).detach()[:, None] * noise / sigma  # the same with the mean as a baseline
for name, gradient in (("reparameterised", path), ("score function", score), ("  with a baseline", centred)):
    print(f"{name:<18} mean {gradient[:, 0].mean():9.2f}   standard deviation of one draw {gradient[:, 0].std():9.2f}")

# %% posterior
side = 400
axis = torch.linspace(-5, 5, side)
cell = (axis[1] - axis[0]).double() ** 2
grid = torch.cartesian_prod(axis, axis)
with torch.no_grad():
    log_joint = torch.cat([vae.decode(part).log_prob(image) for part in grid.split(8000)]) + vae.prior().log_prob(grid)
    log_px = torch.logsumexp(log_joint.double(), 0) + cell.log()  # log p(x) = log ∫ p(x|z) p(z) dz
    log_posterior = log_joint - log_px  # log p(z|x) = log p(x, z) − log p(x)
    log_q = q1.log_prob(grid)
    gap = (log_q.double().exp() * (log_q - log_posterior)).sum() * cell  # KL(q(z|x) ‖ p(z|x))
    one_elbo = f.mean() - kl_divergence(q1, vae.prior())[0]  # type: ignore[arg-type]
print(f"log p(x) by {side}×{side} = {side**2:,} decodings: {log_px:.2f} nats")
print(f"elbo {one_elbo:.2f} + KL(q(z|x) ‖ p(z|x)) {gap:.2f} = {one_elbo + gap:.2f}")
print(f"the same grid in 16 dimensions: 400^16 = 10^{16 * math.log10(400):.0f} decodings")
