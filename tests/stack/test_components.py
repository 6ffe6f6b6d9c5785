"""The table of components and their environment."""

from pathlib import Path

from mobility.settings import read_settings
from stack.checkout import ROOT
from stack.components import STOP_ORDER, system, system_environ


def settings_environ(folder: Path, **given: str) -> dict[str, str]:
    """Return the settings that the components get where `given` is all the caller has set."""
    environ = system_environ(folder, given)
    return {name: value for name, value in environ.items() if name.startswith("MOBILITY_")}


def test_the_sample_city_and_both_stores_are_the_default(tmp_path: Path) -> None:
    """Without a word from the caller: all entities enriched, both stores, the sample's tables."""
    settings = read_settings(settings_environ(tmp_path))
    assert settings.stores == ("redis", "postgres")
    assert settings.enriched == ("driver", "passenger", "vehicle_type", "h3")
    assert settings.drivers == str(ROOT / "data" / "drivers.parquet")
    assert settings.status_dir == str(tmp_path / "status")


def test_what_the_caller_set_stays(tmp_path: Path) -> None:
    """Defaults fill gaps, nothing else; a chosen API port is not moved."""
    environ = settings_environ(tmp_path, MOBILITY_STORES="redis", MOBILITY_API_PORT="1234")
    settings = read_settings(environ)
    assert settings.stores == ("redis",)
    assert settings.api_port == 1_234


def test_every_component_is_stopped(tmp_path: Path) -> None:
    """The order of the stop names what the table starts, no more and no less."""
    components = system(tmp_path, read_settings(settings_environ(tmp_path)))
    assert sorted(STOP_ORDER) == sorted(component.name for component in components)


def test_our_modules_are_found_from_any_folder(tmp_path: Path) -> None:
    """The checkout comes first on the path, what the caller had comes after it."""
    assert system_environ(tmp_path, {})["PYTHONPATH"] == str(ROOT)
    assert system_environ(tmp_path, {"PYTHONPATH": "/x"})["PYTHONPATH"] == f"{ROOT}:/x"
