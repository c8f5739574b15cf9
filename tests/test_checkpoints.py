"""Files that are no checkpoints, are damaged, or want to run code: each is answered in words, and nothing runs."""

import argparse
import gzip
import io
import pickle
import random
import re
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from gnet_inspect.errors import GnetError, MissingError, UsageError
from tests.specs import graph_of

torch = pytest.importorskip("torch", reason="torch is not installed")
safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")

from gnet_inspect.runtime import checkpoint  # noqa: E402  # needs torch
from gnet_inspect.runtime.module import build_module  # noqa: E402  # needs torch
from gnet_inspect.runtime.weights import load_weights  # noqa: E402  # needs torch

GRAPH = graph_of("stages: {s: {conv: {Conv2d: {out_channels: 64, kernel_size: 3}}, bn: BatchNorm2d}}")


def state() -> dict[str, Any]:
    """Weights that fit."""
    saved: dict[str, Any] = build_module(GRAPH).state_dict()
    return saved


def saved(value: object, **options: Any) -> bytes:
    """What torch.save writes."""
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def refused(path: Path, content: bytes, message: str, kind: type[GnetError] = UsageError) -> None:
    """The file is answered with that message, on one line, and the module stays as it is."""
    path.write_bytes(content)
    module = build_module(GRAPH)
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    with pytest.raises(kind, match=message) as error:
        load_weights(module, path, strict=False)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1_000
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())


class Malicious:
    """Runs code where a pickle of it is read the usual way."""

    ran = False

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return _run, ()


def _run() -> None:
    Malicious.ran = True


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_never_runs(tmp_path: Path, zipped: bool) -> None:
    """It is refused, and the error says how the weights can be saved without it."""
    message = (
        r"got Python objects besides tensors \(`tests.test_checkpoints._run`\), .*: refused\. \(.*weights_only=False"
    )
    Malicious.ran = False
    content = saved({"fc.weight": Malicious()}, _use_new_zipfile_serialization=zipped)
    refused(tmp_path / "a.pth", content, message)
    assert not Malicious.ran
    torch.load(io.BytesIO(content), weights_only=False)
    assert Malicious.ran


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("value", "name"),
    [
        (torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1)), "torch.nn.modules.container.Sequential"),
        ({"args": argparse.Namespace(lr=1), "state_dict": {}}, "argparse.Namespace"),
    ],
)
def test_whole_modules_and_training_arguments_are_refused(tmp_path: Path, value: Any, name: str, zipped: bool) -> None:
    """They are Python objects, which only code could make."""
    content = saved(value, _use_new_zipfile_serialization=zipped)
    refused(
        tmp_path / "a.pt", content, rf"besides tensors \(`{name}`\).*a whole module or a training state was pickled"
    )


def test_files_of_torch_before_1_6_load(tmp_path: Path) -> None:
    """A bare pickle, as many published weights still are."""
    path = tmp_path / "a.pth"
    path.write_bytes(saved(state(), _use_new_zipfile_serialization=False))
    assert load_weights(build_module(GRAPH), path).complete


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"got an empty file\. \(download or copy it again\)"),
        (b"name: googlenet\ninput: [3, 224, 224]\n", "got a text file that begins with 'name: googlenet'"),
        (b'{"weight_map": {}}', "got a text file that begins with"),
        ("é".encode() * 400, "got a text file that begins with 'é"),
        (b"\n<!DOCTYPE html><html>404</html>", "got a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", r"git-lfs pointer.*\(`git lfs pull`"),
        (gzip.compress(b"weights", mtime=0), "got a gzip or tar archive"),
        (b"\x89HDF\r\n\x1a\n", "a file of another kind, which begins with the bytes 89 48 44 46 0d 0a 1a 0a"),
        (b"\0" * 600, "begins with the bytes 00 00 00 00"),
        (pickle.dumps({"a": 1}), "a damaged file, or a pickle that torch.save did not write"),
        (pickle.dumps({"a": 1}, 2), "a truncated or damaged file"),
        (b"\x80\x02", "a truncated or damaged file"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value[:24],
)
def test_files_that_are_no_checkpoints_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    """By what they begin with."""
    refused(tmp_path / "a.pth", content, message)
    refused(tmp_path / "a.bin", content, message)


def test_archives_that_are_no_checkpoints_are_named(tmp_path: Path) -> None:
    """A tar, a zip of something else, and a program of TorchScript's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a"))
    refused(tmp_path / "a.pth.tar", buffer.getvalue(), "got a gzip or tar archive")
    for names, message in (
        (["readme.txt"], "zip archive of something else"),
        (["a/constants.pkl"], "a TorchScript archive"),
    ):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in names:
                archive.writestr(name, "")
        refused(tmp_path / "a.pt", buffer.getvalue(), message)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], r"got a list\. \(a checkpoint is a mapping"),
        (torch.ones(3), "got a Tensor"),
        (
            {"epoch": 3, "net": {"a": torch.ones(1)}},
            r"`epoch` \(a int\), `net` \(a dict\).*may be in `net`: save that alone",
        ),
        ({"state_dict": {"a": 1.5}}, r"more than tensors: `a` \(a float\)"),
        ({5: torch.ones(1)}, r"more than tensors: `5` \(a Tensor\)"),
        ({"model": {}, "state_dict": {}}, "got a file with `state_dict` and `model`, each a state dict"),
        (dict.fromkeys("abcde"), r"`c` \(a NoneType\) and 2 more"),
    ],
)
def test_what_is_no_state_dict_is_named(tmp_path: Path, value: object, message: str) -> None:
    """A checkpoint is a mapping from names to tensors."""
    refused(tmp_path / "a.pth", saved(value), message)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    """And paths that no file can have."""
    for path, message in (
        (tmp_path / "none.pth", "none.pth: expected a checkpoint, got no such file"),
        (tmp_path, "got a folder"),
        ("a\0b", "got a file that cannot be read"),
    ):
        with pytest.raises(UsageError, match=message):
            load_weights(build_module(GRAPH), path)


def test_an_ending_that_promises_another_format_is_an_error(tmp_path: Path) -> None:
    """Who trusts the ending .safetensors must not be handed a pickle, nor the other way round."""
    safe = safetensors.save(state())
    refused(tmp_path / "a.safetensors", saved(state()), r"got a torch file with the ending .safetensors .*\(rename it")
    refused(tmp_path / "a.PTH", safe, "got a safetensors file with the ending .PTH of torch files")
    for name, content in (("a.bin", safe), ("b.bin", saved(state())), ("a", safe), ("a.pth.tar", saved(state()))):
        (tmp_path / name).write_bytes(content)
        assert load_weights(build_module(GRAPH), tmp_path / name).complete


def test_safetensors_that_is_not_installed_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 3, with the command that installs it."""
    monkeypatch.setattr(checkpoint, "find_spec", lambda _: None)
    message = "a.safetensors needs safetensors, which is not installed. Install it with: pip install safetensors"
    refused(tmp_path / "a.safetensors", safetensors.save(state()), message, MissingError)
    assert MissingError.exit_code == 3


def test_a_torch_whose_reader_was_broken_reads_no_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its `weights_only` could be made to run code; safetensors files hold none."""
    (tmp_path / "a.safetensors").write_bytes(safetensors.save(state()))
    content = saved(state())
    for version in ("2.4.0", "2.9.1+cu128"):
        monkeypatch.setattr(torch, "__version__", version)
        message = rf"a file of torch.save, which torch {re.escape(version)} cannot read safely: .*'torch>=2.10'"
        refused(tmp_path / "a.pth", content, message, MissingError)
        assert load_weights(build_module(GRAPH), tmp_path / "a.safetensors").complete
    for version in ("2.10.0", "3.0.0a0", "unknown"):
        monkeypatch.setattr(torch, "__version__", version)
        assert load_weights(build_module(GRAPH), tmp_path / "a.pth").complete


def test_a_file_too_large_for_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the bytes it unpacks to, which a small archive can have many of."""
    monkeypatch.setattr(checkpoint, "free_memory", lambda _: 5_000)
    for name, content in (("a.pth", saved(state())), ("a.safetensors", safetensors.save(state()))):
        refused(tmp_path / name, content, r"takes \S+ kB of memory to read, where 5.00 kB are free", MissingError)
    with zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\0" * 1_000_000)
    refused(tmp_path / "b.pth", (tmp_path / "b.pth").read_bytes(), r"takes 1.00 MB of memory", MissingError)


def test_sizes_are_judged_before_a_byte_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte may say that it unpacks to a gigabyte, which takes seconds just to check."""
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"")
        for number in range(3):
            archive.writestr(f"a/data/{number}", b"\0" * 1_000_000)
    opened: list[str] = []
    unpack = zipfile.ZipFile.open

    def watched(self: zipfile.ZipFile, name: Any, *arguments: Any, **options: Any) -> Any:
        opened.append(name.filename)
        return unpack(self, name, *arguments, **options)

    monkeypatch.setattr(zipfile.ZipFile, "open", watched)
    monkeypatch.setattr(checkpoint, "free_memory", lambda _: 2_999_999)
    content = (tmp_path / "a.pth").read_bytes()
    refused(tmp_path / "a.pth", content, r"takes 3.00 MB of memory to read, where 3.00 MB are free", MissingError)
    assert opened == []
    monkeypatch.setattr(checkpoint, "free_memory", lambda _: 3_000_000)
    refused(tmp_path / "a.pth", content, "a truncated or damaged file")
    assert opened == ["a/data/0", "a/data/1", "a/data/2"]


def test_a_record_gives_no_more_bytes_than_it_says(tmp_path: Path) -> None:
    """One that says so of itself is damage, with a checksum or without."""
    for checksum in (True, False):
        content = repacked(saved(state()), compression=zipfile.ZIP_DEFLATED)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            member = next(item for item in archive.infolist() if item.filename.endswith("data/0"))
        said = struct.pack("<LL", member.compress_size, member.file_size)
        assert content.count(said) == 2
        content = content.replace(said, struct.pack("<LL", member.compress_size, 16))
        if not checksum:
            content = content.replace(struct.pack("<L", member.CRC), b"\0" * 4)
        refused(tmp_path / "a.pth", content, "a truncated or damaged file")


def repacked(content: bytes, change: Any = None, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A torch archive with its records changed, and checksums that are right."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", compression) as new:
        for name in old.namelist():
            record = old.read(name)
            new.writestr(name, change(name, record) if change else record)
    return buffer.getvalue()


def test_damage_inside_an_archive_is_no_weight(tmp_path: Path) -> None:
    """A bit that fell over, and a record that is too short: torch itself notices neither when it maps the file."""
    weights = state()
    content = saved(weights)
    place = content.index(weights["conv.weight"].numpy().tobytes())
    flipped = content[: place + 5] + bytes([content[place + 5] ^ 1]) + content[place + 6 :]
    refused(tmp_path / "a.pth", flipped, "truncated or damaged file: .*Bad CRC-32 for file .*data/0")
    short = repacked(content, lambda name, record: record[:8] if name.endswith("data/0") else record)
    refused(tmp_path / "a.pth", short, "truncated or damaged file: .*record size")


def test_a_compressed_archive_is_read_as_what_it_holds(tmp_path: Path) -> None:
    """Someone's zip tool may have packed it; mapped into memory it would be noise."""
    weights = state()
    (tmp_path / "a.pth").write_bytes(repacked(saved(weights), compression=zipfile.ZIP_DEFLATED))
    load_weights(module := build_module(GRAPH), tmp_path / "a.pth")
    assert all(torch.equal(tensor, weights[key]) for key, tensor in module.state_dict().items())


def test_an_archive_without_checksums_loads(tmp_path: Path) -> None:
    """torch writes zeros where it was told to compute none."""
    torch.serialization.set_crc32_options(False)
    try:
        (tmp_path / "a.pth").write_bytes(saved(state()))
    finally:
        torch.serialization.set_crc32_options(True)
    assert load_weights(build_module(GRAPH), tmp_path / "a.pth").complete


def test_a_header_that_lies_is_damage(tmp_path: Path) -> None:
    """safetensors' dtypes, offsets and lengths are checked."""
    for header in (b'{"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,4]}}', b'{"a":{"dtype":"F32"', b"{not json}"):
        refused(tmp_path / "a.safetensors", struct.pack("<Q", len(header)) + header + b"\0" * 4, "truncated or damaged")


@pytest.mark.parametrize("format_", ["zip", "pickle", "safetensors"])
def test_any_damage_ends_in_an_error_of_ours_or_in_a_load(tmp_path: Path, format_: str) -> None:
    """Cut anywhere, or with bytes overwritten: no other exception, and an error leaves the module alone."""
    content = (
        safetensors.save(state())
        if format_ == "safetensors"
        else saved(state(), _use_new_zipfile_serialization=format_ == "zip")
    )
    draw = random.Random(0)
    path = tmp_path / "a.bin"
    outcomes = set()
    for turn in range(150):
        damaged = bytearray(content[: draw.randrange(len(content))] if turn % 3 == 0 else content)
        for _ in range(draw.randrange(1, 6) if damaged and turn % 3 else 0):
            # Half of the damage where the structure is.
            place = draw.randrange(len(damaged)) if draw.random() < 0.5 else draw.randrange(min(900, len(damaged)))
            damaged[place] = draw.randrange(256)
        path.write_bytes(damaged)
        module = build_module(GRAPH)
        before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
        try:
            load_weights(module, path)
            outcomes.add("loaded")
        except GnetError:
            outcomes.add("refused")
            assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())
    assert "refused" in outcomes


@pytest.mark.parametrize(("length", "message"), [(100_000_000, "truncated or damaged"), (100_000_001, "another kind")])
def test_a_header_longer_than_safetensors_allows_is_no_header(tmp_path: Path, length: int, message: str) -> None:
    """Eight bytes before a brace may be anything."""
    refused(tmp_path / "a.bin", struct.pack("<Q", length) + b"{", message)
    refused(tmp_path / "a.bin", b'weights={"a": 1}', "got a text file that begins with 'weights=")


@pytest.mark.parametrize("path", ["https://a.org/b.pth", Path("https://a.org/b.pth"), "S3://a/b", "file:///tmp/b.pth"])
def test_a_url_is_called_one(path: str | Path) -> None:
    """Nothing is fetched."""
    message = rf"^{re.escape(str(path))}: expected a checkpoint, got a URL\. \(files are read from disk: download it"
    with pytest.raises(UsageError, match=message):
        load_weights(build_module(GRAPH), path)


def test_a_folder_named_like_a_scheme_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file is there, it is read; where a name merely has a colon, it is no URL."""
    monkeypatch.chdir(tmp_path)
    Path("ab:").mkdir()
    Path("ab:/c.pth").write_bytes(saved(state()))
    assert load_weights(build_module(GRAPH), "ab:/c.pth").complete
    with pytest.raises(UsageError, match=r"a:b\.pth: expected a checkpoint, got no such file"):
        load_weights(build_module(GRAPH), "a:b.pth")
