"""The latent explorer: what a browser draws is what torch draws."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest
import torch
from torch import Tensor, nn

from tests.running import SHORT, Runner
from vae_lightning.errors import UserError
from vae_lightning.models.architectures import MLP, Architecture, Conv, ResNet, UNetKL
from vae_lightning.models.conditions import Label
from vae_lightning.models.likelihoods import Bernoulli, Gaussian, Likelihood
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE
from vae_lightning.plots import explorer
from vae_lightning.plots.displayable import displayable

BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
PROBE = """<script>
const place = id => document.getElementById(id).getBoundingClientRect();
const root = document.documentElement, heading = document.querySelector("h1").textContent;
parent.postMessage({ width: innerWidth, overflow: root.scrollWidth - innerWidth, language: root.lang, words: heading,
  bottoms: [place("image").bottom, place("plane").bottom] }, "*");
</script>"""
TELEPHONE = """<iframe src="page.html#lang=LANGUAGE" style="width: 390px; height: 844px; border: 0"></iframe>
<script>onmessage = e => { document.body.dataset.found = btoa(encodeURIComponent(JSON.stringify(e.data))); };</script>"""


def opened(path: Path, fragment: str) -> str:
    """The page after its scripts have run; fails if one of them fails."""
    assert BROWSER is not None
    done = subprocess.run(
        [
            *(
                BROWSER,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--window-size=1000,900",
                "--enable-logging=stderr",
            ),
            *("--virtual-time-budget=2000", "--dump-dom", f"file://{path}#{fragment}"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    return done.stdout


def drawn(page: str) -> Tensor:
    found = re.search(r'<data id="pixels" value="([\d ]+)">', page)
    assert found is not None
    return torch.tensor([int(value) for value in found[1].split()])


def small(architecture: Architecture, likelihood: Likelihood, latent_dim: int) -> VAE:
    vae = VAE(architecture, Diagonal(latent_dim), StandardNormal(latent_dim), likelihood).eval()
    with torch.no_grad():
        for weight in vae.decoder.parameters():
            weight.mul_(2.5)  # so that the pictures are not all grey
    return vae


def written(vae: VAE, path: Path) -> str:
    x, labels = torch.rand(12, *vae.shape), torch.arange(12) % 3
    text = explorer.page(vae, "test", "data=none", x, labels, [0.5] * vae.latent_dim, 6)
    path.write_text(text.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    return text


GELU_SILU = [
    pytest.param(MLP([20, 12]), Bernoulli((1, 7, 5)), 2, id="mlp"),
    pytest.param(Conv([4, 3], 8), Bernoulli((1, 9, 6)), 3, id="conv"),
    pytest.param(ResNet([4, 3], blocks=2), Gaussian((3, 7, 10)), 4, id="resnet"),
    pytest.param(MLP([9]), Gaussian((2, 4, 3)), 3, id="two channels"),
    *(
        pytest.param(MLP([9], name), Bernoulli((1, 4, 4)), 3, id=name)
        for name in ("relu", "leaky_relu", "elu", "tanh", "softplus")
    ),
]


@browser
@pytest.mark.parametrize(("architecture", "likelihood", "latent_dim"), GELU_SILU)
def test_the_page_draws_what_torch_draws(
    tmp_path: Path, architecture: Architecture, likelihood: Likelihood, latent_dim: int
) -> None:
    vae, z = small(architecture, likelihood, latent_dim), torch.tensor([[0.5, -1.25, 2.0, -0.75][:latent_dim]])
    written(vae, tmp_path / "page.html")
    page = opened(tmp_path / "page.html", "z=" + ",".join(str(v) for v in z[0].tolist()))
    expected = (vae.decode(z).mean[0].clamp(0, 1) * 255).flatten().detach()
    assert expected.std() > 5
    assert (drawn(page) - expected).abs().max() <= 1
    assert f'id="image" width="{displayable(torch.zeros(vae.shape)).shape[-1]}" height="{vae.shape[1]}"' in page


@browser
@pytest.mark.parametrize(("language", "title"), [("en", "Latent explorer"), ("ja", "潜在空間エクスプローラー")])
def test_both_languages_and_a_telephone_where_image_and_plane_are_in_sight(tmp_path: Path, language: str, title: str) -> None:
    """The page in a frame, since a Chromium window is never narrower than 500 pixels."""
    written(small(MLP([8]), Bernoulli((1, 4, 4)), 2), tmp_path / "page.html")
    (tmp_path / "telephone.html").write_text(f"<body>{TELEPHONE.replace('LANGUAGE', language)}</body>", encoding="utf-8")
    found = re.search(r'data-found="(.+?)"', opened(tmp_path / "telephone.html", ""))
    assert found is not None
    told = json.loads(unquote(base64.b64decode(found[1]).decode()))
    assert (told["width"], told["overflow"], told["language"], told["words"]) == (390, 0, language, title)
    assert max(told["bottoms"]) <= 844


HANDS_OFF = """<script>document.body.dataset.drawn = $("pixels").value.length > 0;</script>"""
HANDS = """<script>
const press = (i, shiftKey) => { for (const kind of ["pointerdown", "pointerup"])
  document.querySelectorAll(".thumb")[i].dispatchEvent(new PointerEvent(kind, { button: 0, shiftKey })); };
const seen = [], see = () => seen.push($("pixels").value), r = $("plane").getBoundingClientRect();
const point = { clientX: r.left + r.width * 0.75, clientY: r.top + r.height * 0.25 };
$("plane").dispatchEvent(new PointerEvent("pointermove", point)); see();
press(2, false); see();
press(1, false); press(3, true); $("mix").value = 0.25; $("mix").dispatchEvent(new Event("input")); see();
$("origin").click(); see();
document.body.dataset.seen = seen.join(";");
</script>"""


@browser
def test_the_controls_draw_what_they_say_and_images_without_label_are_shown(tmp_path: Path) -> None:
    vae, x, labels = small(MLP([8]), Bernoulli((1, 6, 5)), 2), torch.rand(4, 1, 6, 5), torch.tensor([-1, 0, 1, -1])
    text = explorer.page(vae, "test", "data=none", x, labels, None, 4)
    (tmp_path / "page.html").write_text(text.replace("</body>", f"{HANDS}</body>"), encoding="utf-8")
    page = opened(tmp_path / "page.html", "")
    model = json.loads(re.findall(r"const MODEL = (.+);\n", text)[0])
    codes, reach = torch.tensor(model["starts"]), model["reach"] / 2
    z = torch.stack([torch.tensor([reach, reach]), codes[2], 0.75 * codes[1] + 0.25 * codes[3], torch.zeros(2)])
    expected = (vae.decode(z).mean * 255).flatten(1).detach()
    seen = re.search(r'data-seen="([\d ;]+)"', page)
    assert seen is not None
    pictures = torch.tensor([[int(value) for value in picture.split()] for picture in seen[1].split(";")])
    assert (pictures - expected).abs().max() <= 1
    assert (expected[1:] - expected[:-1]).abs().amax(1).min() > 2  # each slider changed something
    key = re.findall(r'<span><i style="background: (.+?);"></i>(.+?)</span>', page)
    assert [name for _, name in key] == ["–", "0", "1"]
    assert key[0][0] == "rgb(153, 153, 153)"


def test_the_page_has_no_link_outside_and_text_cannot_leave_its_script(tmp_path: Path) -> None:
    vae = small(MLP([8]), Bernoulli((1, 4, 4)), 2)
    text = explorer.page(vae, "</script><b>", "data=none", torch.rand(4, 1, 4, 4), torch.arange(4), None, 2)
    assert "http" not in text
    assert "</script><b>" not in text


HOSTILE = "<!--<script>alert(1)</script>"


def test_no_bracket_of_a_name_is_in_the_script() -> None:
    vae = small(MLP([8]), Bernoulli((1, 4, 4)), 2)
    text = explorer.page(vae, HOSTILE, HOSTILE, torch.rand(4, 1, 4, 4), torch.arange(4), None, 2, (HOSTILE, "cat"))
    (literal,) = re.findall(r"const MODEL = (.+);\n", text)
    assert "<" not in literal
    model = json.loads(literal)
    assert (model["name"], model["axes"], model["class_names"]) == (HOSTILE, HOSTILE, [HOSTILE, "cat"])


@browser
def test_a_page_with_hostile_names_works_and_shows_them_as_text(tmp_path: Path) -> None:
    vae = small(MLP([8]), Bernoulli((1, 4, 4)), 2)
    text = explorer.page(vae, HOSTILE, "", torch.rand(4, 1, 4, 4), torch.arange(4), None, 2, (HOSTILE, "cat"))
    (tmp_path / "page.html").write_text(text.replace("</body>", f"{HANDS_OFF}</body>"), encoding="utf-8")
    page = opened(tmp_path / "page.html", "")
    assert 'data-drawn="true"' in page
    assert "&lt;!--&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_weights_are_halved_where_no_pixel_changes_and_the_model_keeps_its_own() -> None:
    vae = small(MLP([8]), Bernoulli((1, 4, 4)), 2)
    before = {name: weight.clone() for name, weight in vae.state_dict().items()}
    assert explorer.choose_precision(vae, torch.randn(5, 2), None) == "float16"
    with torch.no_grad():
        vae.decoder[0].weight.fill_(1000.3)  # type: ignore[index]
        vae.decoder[2].weight.copy_(torch.randn(16, 8) * 0.02)  # type: ignore[index]
    assert explorer.choose_precision(vae, torch.full((1, 2), 0.5), None) == "float32"
    assert set(before) == set(vae.state_dict())


def test_a_layer_that_the_page_does_not_know_is_named() -> None:
    with pytest.raises(UserError, match=r"with PixelShuffle in a page"):
        explorer.layers(nn.Sequential(nn.PixelShuffle(2)), explorer.Weights())


def test_explore_writes_a_page_for_a_run(runner: Runner) -> None:
    folder = runner.trained(*SHORT)
    outcome = runner("explore", f"run={folder}", "images=30", "starts=5")
    assert outcome.status == 0, outcome.err
    assert (folder / "explorer.html").stat().st_size > 10_000
    assert "explorer.html" in outcome.out


def test_the_page_has_the_names_of_the_classes() -> None:
    vae = small(MLP([9]), Bernoulli((1, 4, 4)), 2)
    text = explorer.page(vae, "test", "", torch.rand(4, 1, 4, 4), torch.arange(4), None, 2, ("cat", "</script>"))
    assert '"class_names":["cat","\\u003c/script>"]' in text
    assert "MODEL.class_names[label]" in text


@browser
@pytest.mark.parametrize("classes", [0, 3])
def test_a_grid_with_group_norm_attention_and_labels_is_drawn_as_torch_draws_it(classes: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    grid = (2, 3)
    parts = (UNetKL([4, 8], groups=2), Diagonal(2, grid), StandardNormal(2, grid), Gaussian((1, 8, 12)))
    vae = VAE(*parts, Label(classes) if classes else None).eval()
    path, z = tmp_path / "page.html", torch.randn(12)
    x, labels = torch.rand(12, *vae.shape), torch.arange(12) % 3
    path.write_text(explorer.page(vae, "test", "data=none", x, labels, None, 6), encoding="utf-8")
    page = opened(path, "z=" + ",".join(str(value) for value in z.tolist()) + ("&label=2" if classes else ""))
    image = vae.decode(z[None], torch.tensor([2]) if classes else None).mean.detach().flatten()
    assert (drawn(page) - (image.clamp(0, 1) * 255)).abs().max() <= 1.5
    assert image.std() > 0.02
    assert "z2 (1,2)" in page
