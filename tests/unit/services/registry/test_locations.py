"""Which paths a command may name, and how they are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from tunebus.contracts.errors import TunebusError
from tunebus.services.registry.locations import Roots, locate


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    for name in ("data", "home/artifacts", "outside"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data/faq.csv").write_text("a,b\n")
    (tmp_path / "outside/secret.csv").write_text("a,b\n")
    return Roots((tmp_path / "data", tmp_path / "home"), tmp_path / "home/artifacts", tmp_path / "home")


def code(given: str, roots: Roots) -> tuple[str, str]:
    with pytest.raises(TunebusError) as refused:
        locate(given, roots)
    return refused.value.problem.code.value, refused.value.problem.message


def test_a_file_in_a_root_is_kept_by_its_real_path(roots: Roots, tmp_path: Path) -> None:
    place = locate(str(tmp_path / "data" / ".." / "data" / "faq.csv"), roots)
    assert place.location == str(tmp_path / "data/faq.csv")


def test_a_file_below_the_artifact_root_is_kept_as_its_uri(roots: Roots) -> None:
    (roots.artifacts / "uploads").mkdir()
    (roots.artifacts / "uploads/x.csv").write_text("a\n")
    for given in ("artifact:uploads/x.csv", str(roots.artifacts / "uploads/x.csv")):
        assert locate(given, roots).location == "artifact:uploads/x.csv"


def test_a_relative_path_is_below_a_root(roots: Roots, tmp_path: Path) -> None:
    assert locate("faq.csv", roots).path == tmp_path / "data/faq.csv"


def test_a_missing_file_in_a_root_is_named_as_given(roots: Roots, tmp_path: Path) -> None:
    given = str(tmp_path / "data" / "nope.csv")
    assert code(given, roots) == ("not_found", f"there is no file or folder {given}")


def test_outside_nothing_is_told_about_what_exists(roots: Roots, tmp_path: Path) -> None:
    there, missing = str(tmp_path / "outside/secret.csv"), str(tmp_path / "outside/missing.csv")
    assert code(there, roots)[0] == code(missing, roots)[0] == "not_permitted"
    assert code(there, roots)[1].replace(there, "") == code(missing, roots)[1].replace(missing, "")


def test_links_and_dots_do_not_lead_out(roots: Roots, tmp_path: Path) -> None:
    (tmp_path / "data/link.csv").symlink_to(tmp_path / "outside/secret.csv")
    (tmp_path / "data/dead.csv").symlink_to(tmp_path / "outside/missing.csv")
    (tmp_path / "data/folder").symlink_to(tmp_path / "outside")
    for given in (
        str(tmp_path / "data/link.csv"),
        str(tmp_path / "data/dead.csv"),
        str(tmp_path / "data/folder/secret.csv"),
        str(tmp_path / "data/../outside/secret.csv"),
        "../outside/secret.csv",
        "artifact:../../outside/secret.csv",
        "artifact:/../../data/faq.csv",
        "/etc/passwd",
        "/",
    ):
        assert code(given, roots)[0] == "not_permitted", given


def test_a_link_within_the_roots_is_followed(roots: Roots, tmp_path: Path) -> None:
    (tmp_path / "data/link.csv").symlink_to(tmp_path / "data/faq.csv")
    assert locate(str(tmp_path / "data/link.csv"), roots).path == tmp_path / "data/faq.csv"


def test_the_studios_own_files_are_not_permitted(roots: Roots) -> None:
    for name in ("run.json", "nats.password", "tunebus.db", "tunebus.db-wal", "logs/registry.json", "nats/x.json"):
        assert code(str(roots.home / name), roots)[0] == "not_permitted", name


def test_a_name_that_is_not_there_is_told_with_the_nearest_that_may_be_named(roots: Roots, tmp_path: Path) -> None:
    def hint(given: str) -> str | None:
        with pytest.raises(TunebusError) as caught:
            locate(given, roots)
        return caught.value.problem.hint

    assert hint(str(tmp_path / "data/fag.csv")) == "did you mean 'faq.csv'?"
    assert hint(str(tmp_path / "data/faq.jsonl")) == "did you mean 'faq.csv'?"
    assert hint(str(tmp_path / "data/quite-another.csv")) == "paths are those of the machine that the studio runs on"
    assert hint("artifact:nothing/like/it") == "paths are those of the machine that the studio runs on"
    (roots.home / "nats.password").touch()
    assert hint(str(roots.home / "nuts.csv")) == "paths are those of the machine that the studio runs on"


def test_a_nul_is_refused_in_words(roots: Roots) -> None:
    assert code("a\0b.csv", roots)[0] == "invalid"
