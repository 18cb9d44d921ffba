"""A run folder from anyone: its configuration runs no code, and reads and writes nothing outside it."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from tests.running import REPOSITORY, SHORT, Runner, train_once
from vae_lightning.config.builtin import special_entries
from vae_lightning.config.compose import compose_config, hydra_composer
from vae_lightning.errors import RunError, UserError
from vae_lightning.files import write_text
from vae_lightning.runs.config_file import check_foreign, read_config
from vae_lightning.runs.folder import find_run, load, read_checkpoint


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_once(tmp_path_factory.mktemp("trained"), *SHORT, "trainer.limit_train_batches=1", "logger=none")


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(trained, tmp_path / "outputs" / "run"))


def changed(folder: Path, place: str, value: Any) -> Path:
    """Set `value` at the dotted `place` in its config.yaml."""
    path = folder / "config.yaml"
    content = yaml.safe_load(path.read_text())
    node, keys = content, place.split(".")
    for key in keys[:-1]:
        node = node.setdefault(key, {}) if isinstance(node, dict) else node[int(key)]
    node[keys[-1]] = value
    path.write_text(yaml.safe_dump(content))
    return path


MKDIR = {"_target_": "os.mkdir", "path": "harmed"}
CODE = [
    ("model", MKDIR),
    ("model._target_", "os.system"),
    ("model._target_", "builtins.eval"),
    ("model._target_", "builtins.exec"),
    ("model._target_", "subprocess.Popen"),
    ("model._target_", "torch.hub.load"),
    ("model._target_", "torch.load"),
    ("model._target_", "torch.nn.Linear"),
    ("model._target_", "hydra.utils.get_method"),
    ("model._target_", "hydra.utils.instantiate"),
    ("model._target_", "functools.partial"),
    ("model._target_", "vae_lightning.runs.folder.load"),
    ("model._target_", "vae_lightning.config.instantiate.instantiate_node"),
    ("model._target_", "vae_lightning.cli.train.main"),
    ("model._target_", "vae_lightning.models.architectures.mlp.MLP"),  # shipped, but under another name
    ("model._target_", "vae_lightning.data.mnist.MNIST"),  # shipped, but for another group
    ("model._target_", "lightning.pytorch.loggers.WandbLogger"),
    ("model._target_", "vae_lightning.models.architectures.MLP "),
    ("model._target_", {"_target_": "os.mkdir"}),
    ("model._target_", ["os.mkdir", "harmed"]),
    ("model._target_", None),
    ("model._args_", [["harmed"]]),
    ("model._args_", "vae_lightning.models.architectures.MLP"),  # shipped here, but under another key
    ("model._partial_", True),
    ("model._recursive_", False),
    ("model._convert_", "none"),
    ("optimizer._partial_", False),
    ("model.hidden", MKDIR),
    ("model.hidden", [3, [MKDIR]]),
    ("likelihood.shape", MKDIR),
    ("likelihood.deep", {"deeper": [{"deepest": MKDIR}]}),
    ("callbacks.mine", MKDIR),
    ("callbacks.best._target_", "os.mkdir"),
    ("logger.mine", MKDIR),
    ("trainer.plugins", [MKDIR]),
    ("trainer.profiler", MKDIR),
    ("data_spec.shape", MKDIR),
    ("choices.model", MKDIR),
    ("unused", MKDIR),
    ("unused", {"a": [{"b": MKDIR}]}),
]


@pytest.mark.parametrize(("place", "value"), CODE, ids=[f"{place}={value}" for place, value in CODE])
def test_code_that_does_not_ship_is_refused_wherever_it_is_named(folder: Path, place: str, value: Any) -> None:
    path = changed(folder, place, value)
    with pytest.raises(UserError, match=r"names code that is not part of vae-lightning.* add trust_run_code=true") as error:
        read_config(path)
    assert (error.value.status, "\n" in str(error.value)) == (2, False)


SECRETS = [
    ("data.root", "${oc.env:SECRET}"),
    ("name", "${oc.env:SECRET}"),
    ("choices.model", "a ${oc.env:SECRET}"),
    ("model.hidden", [3, "${oc.env:SECRET}"]),
    ("overrides", ["name=${oc.env:SECRET}"]),
    ("model.activation", "\\${oc.env:SECRET}"),
    ("beta", "${latent_dim}"),
    ("unused.a.b", "${oc.create:{_target_: os.mkdir}}"),
    ("unused", "${hydra:runtime.cwd}"),
]


@pytest.mark.parametrize(("place", "value"), SECRETS)
def test_interpolations_are_not_resolved(folder: Path, place: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "sesame")
    with pytest.raises(UserError, match=r"has an interpolation.*trust_run_code=true") as error:
        read_config(changed(folder, place, value))
    assert "sesame" not in str(error.value)


def test_every_place_and_name_that_is_allowed_ships() -> None:
    """Only exact names from the shipped configuration are allowed."""
    names = {(".".join(place), value) for place, key, value in special_entries() if key == "_target_" and value is not None}
    assert ("model", "vae_lightning.models.architectures.MLP") in names
    assert ("trainer.profiler", "lightning.pytorch.profilers.SimpleProfiler") in names
    texts = "".join(path.read_text() for path in (REPOSITORY / "conf").rglob("*.yaml"))
    assert len(names) >= 25
    assert all(f"_target_: {name}" in texts for _, name in names)


@pytest.mark.parametrize(
    "group", sorted(p.name for p in (REPOSITORY / "conf").iterdir() if p.is_dir() and p.name not in ("hydra",))
)
def test_what_ships_passes(group: str) -> None:
    with hydra_composer([]):
        for path in (REPOSITORY / "conf" / group).glob("*.yaml"):
            config = compose_config("train", [f"{group}={path.stem}"])
            if "root" in config.data:
                config.data.root = "data"
            check_foreign(OmegaConf.to_container(OmegaConf.create(OmegaConf.to_container(config, resolve=True))), path)


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.mkdir [harmed]",
        "schema_version: 1\nname: !!python/object/apply:os.mkdir [harmed]",
        "schema_version: 1\nname: !!python/name:os.system",
        "schema_version: 1\nname: [",
        "schema_version: 1\nname: 'a\nschema_version: 1",
        "[" * 3000,
        "{a: " * 3000,
        "schema_version: 1\nunused: " + "[" * 50 + "]" * 50,
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nschema_version: 1",
        "a: &a {b: *a}",
        "schema_version: 1\nschema_version: 1",
        "\x00\x01\x02",
    ],
)
def test_yaml_that_builds_objects_or_is_damaged_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, trusted: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"damaged|aliases") as error:
        read_config(path, trusted)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not the configuration of a run"),
        (b"- 1\n", "is not the configuration of a run"),
        (b"text", "is not the configuration of a run"),
        (b"\xff\xfe\xff", "is damaged and cannot be read"),
        (b"schema_version: 3\n", "schema_version=3, but this version of vae-lightning reads 2"),
        (b"schema_version: 1\n", "is not the complete configuration of a run: data_spec.shape is missing"),
        (b"schema_version: 1\nmany: [" + 50 * b"[1], " + b"]\n", "is not the complete configuration of a run"),
    ],
)
def test_what_is_no_configuration_of_a_run_is_named(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        read_config(path)


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("data_spec.shape", [1, 28], "data_spec.shape=\\[1,28\\]: must be channels, height and width"),
        ("data_spec.shape", [1, 28, 0], "data_spec.shape=\\[1,28,0\\]: must be"),
        ("data_spec.mean", "dark", "data_spec.mean is missing"),
        ("data_spec", None, "data_spec.shape is missing"),
        ("model", None, "model is missing"),
        ("model", [1], "model is missing"),
        ("choices.prior", None, "choices.prior is missing"),
        ("name", 3, "name is missing"),
        ("model.hidden", ["???"], "model: Missing value"),
        ("model.hidden", -3, "model.hidden=-3: must be"),
        ("model.width", 3, "MLP takes no such argument"),
        ("overrides", ["two\nlines\tapart"], None),
        ("latent_dim", 4, None),  # only the resolved value counts: nothing is built from the node
        ("posterior.latent_dim", 4, "is incompatible with"),
        ("model.hidden", [16], "does not match the model"),
        ("data_spec.shape", [3, 28, 28], "does not match the model"),
        ("data_spec.shape", [100000, 100000, 100000], "of at most 16,777,216 numbers in all"),
        (
            "data_spec.shape",
            [1, 5000, 50000],
            "\\[1,5000,50000\\]: must be channels, height and width of at most",
        ),
        ("data_spec.mean", 10**400, "it holds an integer that is too large"),
        ("data_spec.mean", 1.5, "data_spec.mean=1.5: must be a finite number of at least 0 and at most 1"),
        ("data_spec.classes", 10**9, "data_spec.classes=1000000000: must be an integer of at least 1 and at most 65536"),
        ("data_spec.train_size", 0, "data_spec.train_size=0: must be"),
        ("seed", "x", "seed is missing, or has the wrong type"),
        ("seed", -1, "seed=-1: must be an integer of at least 0"),
        ("seed", 10**300, "seed=10+…: must be an integer of at least 0 and at most"),
        ("callbacks", "x", "callbacks has the wrong type"),
        ("logger", [1], "logger has the wrong type"),
        ("overrides", 3, "overrides has the wrong type"),
        ("overrides", [3], "overrides=\\[3\\]: must be a list of texts, or null"),
        ("resumes", 3, "resumes has the wrong type"),
        ("resumes", ["x"], "resumes.0=x: must be a mapping that has overrides, a list of texts"),
        ("resumes", [{"overrides": []}, {"time": 1}], "resumes.1={time:1}: must be a mapping that has overrides"),
        ("resumes", [{"overrides": {"a": 1}}], "resumes.0=.*: must be a mapping that has overrides"),
        ("data_spec.kind", 3, "data_spec.kind has the wrong type"),
        ("data_spec.class_names", 3, "data_spec.class_names=3: must be a list of texts, or null"),
        ("compile", [1], "compile has the wrong type"),
        ("name", "\x1b]0;owned\x07", "control characters at name"),
        ("\x1b[2J", 1, "control characters at"),
    ],
)
def test_a_damaged_configuration_is_one_sentence(folder: Path, place: str, value: Any, sentence: str | None) -> None:
    changed(folder, place, value)
    if sentence is None:
        load(folder)
        return
    with pytest.raises(UserError, match=sentence) as error:
        load(folder)
    assert str(error.value).isprintable()


# -------------------------------------------------------------------- code of one's own


def test_code_of_ones_own_is_built_when_it_is_trusted(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """It trains without asking, but is measured and drawn, with modules from the current folder, only if that is allowed."""
    (runner.cwd / "my_tiny_model.py").write_text(
        "from pathlib import Path\nfrom vae_lightning.models.architectures import MLP\n"
        "Path('imported').touch()\n\nclass Tiny(MLP):\n    pass\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path])
    folder = runner.trained(*SHORT, "model._target_=my_tiny_model.Tiny", "logger=none")
    (runner.cwd / "imported").unlink()
    for command in ("evaluate", "generate"):
        monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(runner.cwd)])
        monkeypatch.delitem(sys.modules, "my_tiny_model", raising=False)
        outcome = runner(command, f"run={folder}")
        assert (outcome.status, outcome.err.count("\n")) == (2, 1)
        assert "model._target_=my_tiny_model.Tiny" in outcome.err
        assert "trust_run_code=true" in outcome.err
        assert str(runner.cwd) not in sys.path
        assert not (runner.cwd / "imported").exists()
        more = ["nll.samples=2"] if command == "evaluate" else ["what=samples"]
        outcome = runner(command, f"run={folder}", "trust_run_code=true", *more)
        assert outcome.status == 0, outcome.err
        (runner.cwd / "imported").unlink()
    with pytest.raises(UserError, match="trust_run_code"):
        load(folder)
    assert load(folder, trust_run_code=True).latent_dim == 3
    assert runner("evaluate", f"run={folder}", "trust_run_code=maybe").status == 2


def test_training_with_an_interpolation_leaves_none_behind(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "+width=7", "model.hidden=[${width}]", "logger=none")
    text = (folder / "config.yaml").read_text()
    assert "${" not in text
    assert "model.hidden=[7]" in yaml.safe_load(text)["overrides"]
    load(folder)


# -------------------------------------------------------------------- checkpoints


class Reduced:
    """An object that is pickled as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def evils(harmed: str) -> Iterator[Any]:
    yield Reduced(os.mkdir, harmed)
    yield Reduced(exec, f"import os; os.mkdir({harmed!r})")
    yield Reduced(eval, f"__import__('os').mkdir({harmed!r})")
    yield Reduced(torch.load, harmed)
    yield Reduced(getattr, Path, "home")
    yield Reduced(Path, harmed)


def test_pickles_that_call_are_not_read(tmp_path: Path) -> None:
    path, harmed = tmp_path / "best.ckpt", tmp_path / "harmed"
    for evil in evils(str(harmed)):
        for content in (evil, {"state_dict": evil}, {"state_dict": {"vae.x": evil}}, {"state_dict": {}, "hyper": [evil]}):
            for new in (True, False):
                torch.save(content, path, _use_new_zipfile_serialization=new)
                said = r"holds more than tensors and plain data \(or is damaged\), and is not read" if new else "is damaged"
                with pytest.raises(RunError, match=said):
                    read_checkpoint(path)
            path.write_bytes(pickle.dumps(content))
            with pytest.raises(RunError, match=r"is not read|is damaged"):
                read_checkpoint(path)
    assert not harmed.exists()


@pytest.mark.parametrize(
    "content",
    [
        None, 3, [], {}, {"weights": {}}, {"state_dict": None}, {"state_dict": [1]}, {"state_dict": {"vae.x": 3}},
        {"state_dict": {3: torch.zeros(1)}}, {"state_dict": {"vae.x": torch.zeros(2, device="meta")}},
        {"state_dict": {"vae.x": torch.eye(2).to_sparse()}},
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_named(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "best.ckpt"
    torch.save(content, path)
    with pytest.raises(RunError, match=r"is not a checkpoint of this framework|is not read|is damaged"):
        read_checkpoint(path)


def test_a_weight_that_was_changed_on_the_disk_is_not_used(trained: Path, tmp_path: Path) -> None:
    """torch.load does not notice the damage, but the checksum does."""
    whole = (trained / "checkpoints" / "best.ckpt").read_bytes()
    weight = next(iter(torch.load(io.BytesIO(whole), weights_only=True)["state_dict"].values()))
    place = whole.index(weight.numpy().tobytes())
    path = tmp_path / "best.ckpt"
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    torch.load(path, weights_only=True)
    with pytest.raises(RunError, match="is damaged and cannot be read"):
        read_checkpoint(path)


def test_bytes_at_random_are_named_or_read(trained: Path, tmp_path: Path) -> None:
    """A checkpoint with changed or missing bytes raises nothing but a RunError."""
    whole = (trained / "checkpoints" / "best.ckpt").read_bytes()
    path, rng = tmp_path / "best.ckpt", random.Random(0)
    places = [m for m in (whole.find(b"data.pkl"), whole.rfind(b"PK\x05\x06"), whole.rfind(b"PK\x01\x02")) if m > 0]
    for i in range(60):
        content = bytearray(whole)
        for _ in range(1 + i % 4):
            near = rng.choice(places) + rng.randrange(-40, 400)
            content[min(max(near, 0), len(content) - 1)] = rng.randrange(256)
        path.write_bytes(bytes(content) if i % 3 else whole[: rng.randrange(len(whole))])
        with contextlib.suppress(RunError):
            read_checkpoint(path)


def test_weights_that_are_not_finite_are_not_used(folder: Path) -> None:
    path = folder / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    next(iter(content["state_dict"].values())).fill_(float("nan"))
    torch.save(content, path)
    with pytest.raises(RunError, match="not finite"):
        load(folder)


# -------------------------------------------------------------------- links


def test_nothing_is_written_through_links_out_of_the_run_folder(runner: Runner, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("{}")
    results = (folder / "results.json").read_text()
    (folder / "results.json").unlink()
    (folder / "results.json").symlink_to(outside / "precious")
    (folder / "generated").symlink_to(outside)
    for command in ("evaluate", "generate"):
        outcome = runner(command, f"run={folder}")
        assert (outcome.status, outcome.err.count("\n")) == (2, 1)
        assert "is a link to outside the run folder" in outcome.err
    assert {p.name: p.read_text() for p in outside.iterdir()} == {"precious": "{}"}
    (folder / "generated").unlink()
    (folder / "generated").mkdir()
    (folder / "generated" / "samples.png").symlink_to(outside / "precious")
    (folder / "results.json").unlink()
    (folder / "results.json").write_text(results)
    outcome = runner("generate", f"run={folder}", "what=samples")
    assert (outcome.status, "is a link to outside the run folder" in outcome.err) == (2, True)
    assert (outside / "precious").read_text() == "{}"


def test_a_file_is_written_beside_under_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda n: "00")
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".results.json.00.tmp").symlink_to(tmp_path / "precious")
    with contextlib.suppress(FileExistsError):
        write_text(tmp_path / "results.json", "theirs")
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_link_to_the_run_folder_is_the_run_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(folder)
    run = find_run(tmp_path / "latest")
    assert run.inside("results.json").exists()


def test_nothing_is_downloaded_to_a_folder_that_only_the_run_names(runner: Runner, folder: Path, tmp_path: Path) -> None:
    changed(
        folder, "data", {**yaml.safe_load((REPOSITORY / "conf/data/mnist.yaml").read_text()), "root": str(tmp_path / "theirs")}
    )
    outcome = runner("evaluate", f"run={folder}", "nll.samples=0")
    assert (outcome.status, "data.download=false" in outcome.err) == (2, True)
    assert not (tmp_path / "theirs").exists()


def test_the_first_words_of_a_session_are_not_the_runs(folder: Path) -> None:
    """Markup and escapes in a run's own text are shown as plain text."""
    from rich.console import Console

    from vae_lightning.runs.console import aligned

    out = io.StringIO()
    Console(file=out).print(aligned("[link=x]name[/link]", [("a", "[bold]b", "")]))
    assert "[link=x]name[/link]" in out.getvalue()


def test_trust_is_true_or_false(runner: Runner) -> None:
    outcome = runner("train", "resume=outputs/some", "trust_run_code=perhaps")
    assert outcome.status == 2
    assert outcome.err == "error: trust_run_code=perhaps: must be one of true, false.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"trust_run_code": "no"}, "trust_run_code=no: must be true or false."),
        ({"checkpoint": "bets"}, "checkpoint=bets: must be one of best, last."),
    ],
)
def test_what_load_is_told_is_checked(folder: Path, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as found:
        load(folder, **arguments)
    assert str(found.value) == sentence
