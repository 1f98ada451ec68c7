"""An archive holds a run's numbers, is the same for the same run, and notices every change."""

import json
import zipfile

import pytest
from click.testing import CliRunner

from advprune.base.errors import UserError
from advprune.cli.main import main
from advprune.runs.archive import MANIFEST, check, pack, unpack
from helpers.finished_runs import make_run

MODEL = "digits/resnet18/hydra/unstructured-0.9/seed0"


@pytest.fixture
def packed(tmp_path):
    pack(make_run(tmp_path / "mine"), tmp_path / "mine.zip", nets=True)
    return tmp_path / "mine.zip"


def wrong(path):
    return {name: problem for name, problem in check(path) if problem}


def rewritten(path, change, manifest=None):
    """The same archive with one file's content changed (removed for None, or added)."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    for name, text in change.items():
        content[name] = text
    if manifest:
        content[MANIFEST] = json.dumps(manifest(json.loads(content[MANIFEST]))).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in content.items():
            if text is not None:
                archive.writestr(name, text)


def test_it_holds_what_numbers_rest_on_and_matches(packed):
    with zipfile.ZipFile(packed) as archive:
        names = set(archive.namelist())
    wanted = ("evaluation.json", "evaluation.card.json", "autoattack-0.csv", "hofmn-0.csv")
    assert {f"{MODEL}/{name}" for name in (*wanted, "checkpoint.safetensors")} < names
    assert {"leaderboard.csv", "comparison.csv", "digits/resnet18/evaluations.json"} < names
    assert wrong(packed) == {} and len(list(check(packed))) == len(names) - 1


def test_nets_are_packed_on_request_and_data_and_intermediates_never(tmp_path):
    run = make_run(tmp_path / "mine")
    (run / MODEL / ".checkpoint.state").mkdir()
    (run / MODEL / ".checkpoint.state" / "epoch.pt").write_bytes(b"half")
    (run / MODEL / "autoattack-0.adversarials.safetensors").write_bytes(b"images")
    tensors = [
        {n.rsplit("/")[-1] for n in pack(run, tmp_path / "x.zip", **asked) if "safet" in n}
        for asked in ({}, {"nets": True}, {"images": True})
    ]
    kept = "autoattack-0.adversarials.safetensors"
    assert tensors == [set(), {"checkpoint.safetensors"}, {kept}]
    assert not any(".state" in name for name in pack(run, tmp_path / "x.zip"))


def test_equal_runs_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        pack(make_run(tmp_path / name / "run"), tmp_path / f"{name}.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_an_archive_inside_the_run_does_not_pack_itself(tmp_path):
    run = make_run(tmp_path / "mine")
    first = pack(run, run / "mine.zip")
    assert pack(run, run / "mine.zip") == first and "mine.zip" not in first


def forget(name):
    return lambda m: m | {"files": {k: v for k, v in m["files"].items() if k != name}}


@pytest.mark.parametrize(
    ("change", "manifest", "named", "problem"),
    [
        ({"leaderboard.csv": b"x"}, None, "leaderboard.csv", "not the file of the manifest"),
        ({"leaderboard.csv": None}, None, "leaderboard.csv", "is missing"),
        ({"more.csv": b"x"}, None, "more.csv", "not in the manifest"),
        ({}, forget("leaderboard.csv"), "leaderboard.csv", "not in the manifest"),
        ({f"{MODEL}/hofmn-0.csv": b""}, None, f"{MODEL}/hofmn-0.csv", "not the file"),
    ],
)
def test_what_was_changed_is_named(packed, change, manifest, named, problem):
    rewritten(packed, change, manifest)
    assert problem in wrong(packed)[named]


@pytest.mark.parametrize(
    ("name", "named", "problem"),
    [
        ("autoattack-0.csv", "evaluation.card.json", "another autoattack-0.csv"),
        ("autoattack-0.csv", "autoattack-0.card.json", "not the card of autoattack-0.csv"),
        ("evaluation.json", "evaluation.card.json", "not the card of evaluation.json"),
        ("checkpoint.safetensors", "checkpoint.json", "not the card of checkpoint.safetensors"),
        ("checkpoint.json", "evaluation.card.json", "another checkpoint.json"),
    ],
)
def test_a_run_that_contradicts_its_cards_is_noticed_in_the_archive(tmp_path, name, named, problem):
    """Whoever packs a changed file gives it a right hash in the manifest; its card objects."""
    run = make_run(tmp_path / "mine")
    file = run / MODEL / name
    file.write_text(file.read_text(encoding="utf-8").replace("0", "1", 1), encoding="utf-8")
    pack(run, tmp_path / "mine.zip", nets=True)
    assert problem in wrong(tmp_path / "mine.zip")[f"{MODEL}/{named}"]


def test_tables_made_from_another_net_are_noticed_without_the_nets(tmp_path):
    run = make_run(tmp_path / "mine")
    other = make_run(tmp_path / "other", width=16)
    for name in ("checkpoint.json", "checkpoint.safetensors"):
        (run / MODEL / name).write_bytes((other / MODEL / name).read_bytes())
    pack(run, tmp_path / "mine.zip")
    assert "another checkpoint" in wrong(tmp_path / "mine.zip")[f"{MODEL}/autoattack-0.card.json"]


def test_one_changed_byte_in_any_file_is_noticed(packed):
    content = packed.read_bytes()
    with zipfile.ZipFile(packed) as archive:
        entries = archive.filelist
    for entry in entries:
        head = content[entry.header_offset :][:30]
        start = (
            entry.header_offset
            + 30
            + sum(int.from_bytes(head[i : i + 2], "little") for i in (26, 28))
        )
        size = entry.compress_size
        changed = bytearray(content)
        changed[start + size // 2] ^= 8
        packed.write_bytes(changed)
        try:
            assert wrong(packed)
        except UserError:  # the manifest itself
            assert entry.filename == MANIFEST


@pytest.mark.parametrize("name", ["../out.csv", "/tmp/out.csv", "a/../../out.csv"])
def test_no_name_leads_out_of_the_folder(packed, tmp_path, name):
    rewritten(packed, {name: b"x"}, lambda m: m | {"files": m["files"] | {name: "0" * 64}})
    with pytest.raises(UserError, match="not an archive of a run"):
        unpack(packed, tmp_path / "there")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "manifest",
    [b"{", b"[]", b'{"format": 1, "files": []}', b'{"format": 1}', b"\xff", b"[" * 100_000],
    ids=("half", "list", "files", "none", "bytes", "deep"),
)
def test_what_is_no_manifest_is_refused(packed, manifest):
    rewritten(packed, {MANIFEST: manifest})
    with pytest.raises(UserError, match=r"not an archive of a run \("):
        list(check(packed))


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 half", b"version https://git-lfs.github.com/spec/v1\n", b"<html>"]
)
def test_what_is_no_archive_is_one_line(tmp_path, content):
    (tmp_path / "x.zip").write_bytes(content)
    done = CliRunner().invoke(main, ["verify", str(tmp_path / "x.zip")])
    assert done.exit_code == 2 and done.output.startswith(f"Error: {tmp_path}/x.zip: not an arch")
    assert done.output.count("\n") == 1


def test_another_zip_and_a_later_format_are_refused(tmp_path, packed):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("readme", "x")
    with pytest.raises(UserError, match="not an archive of a run"):
        list(check(tmp_path / "x.zip"))
    rewritten(packed, {}, lambda m: m | {"format": 2})
    with pytest.raises(UserError, match="this version reads"):
        list(check(packed))


def test_the_commands_pack_and_verify(tmp_path):
    def run(*words):
        done = CliRunner().invoke(main, list(map(str, words)))
        return done.exit_code, done.output

    mine, out = make_run(tmp_path / "mine"), tmp_path / "mine.zip"
    assert run("archive", mine, "-o", out)[0] == 0
    count = len(list(check(out)))
    status, said = run("verify", out)
    assert status == 0
    assert said.startswith(f"{out}: {count} of {count} files match their provenance (")
    status, said = run("verify", out, "--configfile", "any.yaml")
    assert status == 2 and "settings are compared in a run's folder alone" in said
    rewritten(out, {"leaderboard.csv": b"x"})
    status, said = run("verify", out)
    assert status == 1 and "leaderboard.csv: is not the file of the manifest" in said
    (tmp_path / "empty").mkdir()
    assert run("archive", tmp_path / "empty", "-o", out)[0] == 2
    assert list(check(out)), "a refusal leaves the older archive as it was"
