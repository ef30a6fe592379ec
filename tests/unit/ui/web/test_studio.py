"""What pages stand on: which uploads are taken, and warnings about what does not work."""

from __future__ import annotations

from pathlib import Path

import pytest
from tunebus.contracts.errors import Code, TunebusError
from tunebus.services.platform.settings import load_settings
from tunebus.ui.web.studio import Studio, digest, problem_of


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    made = Studio(load_settings({}, home=tmp_path / "home"))
    made.incoming.mkdir(parents=True)
    return made


async def test_an_upload_needs_the_bus_and_its_file_stays(studio: Studio) -> None:
    file = studio.incoming / "rows.parquet"
    file.write_bytes(b"PAR1")
    with pytest.raises(TunebusError) as caught:
        await studio.keep_upload(file, "rows.parquet")
    assert caught.value.problem.code == Code.UNAVAILABLE
    assert file.exists()


async def test_what_is_no_upload_is_refused(studio: Studio, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n")
    (studio.incoming / "link.csv").symlink_to(secret)
    for file in (secret, studio.incoming / "link.csv", studio.incoming / "missing.csv", studio.incoming):
        with pytest.raises(TunebusError) as caught:
            await studio.keep_upload(file, "x.csv")
        assert caught.value.problem.code == Code.NOT_PERMITTED


@pytest.mark.parametrize("name", ["x.exe", "x", ".csv.pkl", ""])
async def test_another_kind_of_file_is_refused(studio: Studio, name: str) -> None:
    with pytest.raises(TunebusError) as caught:
        await studio.keep_upload(studio.incoming / "x", name)
    assert caught.value.problem.code == Code.INVALID


async def test_a_database_that_is_not_there_is_unavailable(studio: Studio) -> None:
    with pytest.raises(TunebusError) as caught:
        await studio.ask("GetOverview")
    assert caught.value.problem.code == Code.UNAVAILABLE
    await studio.close()


async def test_a_command_without_a_bus_is_unavailable(studio: Studio) -> None:
    with pytest.raises(TunebusError) as caught:
        await studio.send("StopFineTuningJob", {"id": "x"})
    assert caught.value.problem.code == Code.UNAVAILABLE


def test_a_service_that_is_down_is_named_with_what_it_means(studio: Studio) -> None:
    assert studio.warnings() == []
    services = {"ui": {"state": "starting"}, "registry": {"state": "restarting"}, "relay": {"state": "ready"}}
    studio.home.write_run_file({"services": services})
    assert studio.warnings() == ["The registry is restarting: nothing can be started or stopped until it is back."]


def test_a_digest_tells_values_apart() -> None:
    assert digest("a", "b") == digest("a", "b")
    assert len({digest("a", "b"), digest("ab"), digest("b", "a"), digest({"visible": True})}) == 4


def test_a_defect_is_shown_without_its_traceback() -> None:
    problem = problem_of(ZeroDivisionError("secret detail"))
    assert problem.code == Code.INTERNAL
    assert "secret" not in problem.message
