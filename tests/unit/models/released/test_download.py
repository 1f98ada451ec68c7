"""Files from a server that fails: taken up, tried again, refused, and never half there."""

import pytest
import torch

from advprune.models.released.download import fetch
from advprune.models.released.kinds import NotAvailableError, told, whole
from helpers import failing_server as server

WAITS = (0.0, 0.0)


@pytest.fixture
def files():
    with server.running() as running:
        yield running


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "net.pt"
    torch.save({"state_dict": {"fc.weight": torch.arange(400_000.0)}}, path)
    return path.read_bytes()


def taken(files, tmp_path, content, *answers):
    """The file as it arrives; whatever happens, no other file may have its name."""
    target = tmp_path / "downloads" / "net.pt"
    try:
        fetch(files.offer("net", content, *answers), target, whole, WAITS)
    except NotAvailableError:
        assert not target.exists()
        raise
    finally:
        assert not target.with_name("net.pt.arriving").exists()
    assert target.read_bytes() == content
    assert [path.name for path in target.parent.iterdir()] == ["net.pt"]


def test_a_file_arrives_and_nothing_else_is_left(files, tmp_path, content):
    taken(files, tmp_path, content)
    assert len(files.asked) == 1


def test_what_was_cut_off_is_taken_up_where_it_ended(files, tmp_path, content):
    taken(files, tmp_path, content, server.cut_off(1_200_000), server.whole)
    first = [asked for _, asked in files.asked if asked]
    assert first == [f"bytes={2 * 512 * 1024}-"]  # what was written of it, in gdown's chunks


def test_the_next_run_goes_on_with_the_part_that_is_there(files, tmp_path, content):
    cut = [server.cut_off(1_200_000)]
    with pytest.raises(NotAvailableError, match="cut off"):
        taken(files, tmp_path, content, *cut)
    (part,) = (tmp_path / "downloads").iterdir()
    assert part.stat().st_size and part.read_bytes() == content[: part.stat().st_size]
    taken(files, tmp_path, content)


def test_a_server_without_ranges_sends_all_of_it_once_more(files, tmp_path, content):
    taken(files, tmp_path, content, server.cut_off(1_200_000), server.without_ranges)


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_busy_server_is_asked_again(files, tmp_path, content, code):
    taken(files, tmp_path, content, server.status(code), server.whole)
    assert len(files.asked) == 2


def test_it_is_not_asked_for_ever(files, tmp_path, content):
    with pytest.raises(NotAvailableError, match="answers 429 Client Error: Too Many Requests"):
        taken(files, tmp_path, content, server.status(429))
    assert len(files.asked) == 1 + len(WAITS)


def test_what_is_not_there_is_asked_for_once(files, tmp_path, content):
    with pytest.raises(NotAvailableError, match="the server answers 404"):
        taken(files, tmp_path, content, server.status(404))
    assert len(files.asked) == 1


def test_a_redirect_is_followed(files, tmp_path, content):
    files.offer("elsewhere", content)
    taken(files, tmp_path, content, server.redirect("elsewhere"))
    assert [name for name, _ in files.asked] == ["net", "elsewhere"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (server.QUOTA, "quota"),
        (server.SIGN_IN, "sign-in"),
        ("<html>Oops", "its title is ''"),
    ],
)
def test_a_page_in_place_of_the_file_is_named(files, tmp_path, content, text, words):
    with pytest.raises(
        NotAvailableError, match=f"a web page instead of the file: .*{words}"
    ) as error:
        taken(files, tmp_path, content, server.page(text))
    assert "\n" not in str(error.value)


def test_a_file_without_its_end_is_refused_though_its_length_agrees(files, tmp_path, content):
    with pytest.raises(NotAvailableError, match="damaged"):
        taken(files, tmp_path, content, server.too_short(1000))


def test_bytes_that_changed_on_the_way_are_found(files, tmp_path, content):
    middle = len(content) // 2
    wrong = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    with pytest.raises(NotAvailableError, match="check sum"):
        taken(files, tmp_path, wrong)


def test_no_server_is_a_reason_after_one_more_attempt(tmp_path, content, monkeypatch):
    waited = []
    monkeypatch.setattr("time.sleep", waited.append)
    with server.running() as gone:
        address = gone.offer("net", content)
    with pytest.raises(NotAvailableError, match="no connection"):
        fetch(address, tmp_path / "net.pt", whole, (5.0, 30.0))
    assert waited == [5.0]


def test_what_a_drive_says_becomes_one_line():
    said = "Failed to retrieve file url:\n\n\tToo many users have viewed or downloaded this file.\n"
    assert "quota" in told(said)
    assert told("Failed to retrieve file url:\n\n\tSomething new. And more.") == "Something new"
