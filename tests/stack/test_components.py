"""The components and their environment."""

from pathlib import Path

from mobility.settings import read_settings
from stack.checkout import ROOT
from stack.components import STOP_ORDER, system_components, system_environ


def settings_environ(folder: Path, **given: str) -> dict[str, str]:
    """Return the settings of the components if the caller has set `given` only."""
    environ = system_environ(folder, given)
    return {name: value for name, value in environ.items() if name.startswith("MOBILITY_")}


def test_sample_data_and_both_stores_are_the_default(tmp_path: Path) -> None:
    """All entities enriched, both stores, and the sample's tables."""
    settings = read_settings(settings_environ(tmp_path))
    assert settings.stores == ("redis", "postgres")
    assert settings.enriched == ("driver", "passenger", "vehicle_type", "h3")
    assert settings.drivers == str(ROOT / "data" / "drivers.parquet")
    assert settings.status_dir == str(tmp_path / "status")


def test_variables_of_the_caller_take_precedence(tmp_path: Path) -> None:
    """Defaults are only for missing ones; a given API port is not changed."""
    environ = settings_environ(tmp_path, MOBILITY_STORES="redis", MOBILITY_API_PORT="1234")
    settings = read_settings(environ)
    assert settings.stores == ("redis",)
    assert settings.api_port == 1_234


def test_every_component_is_stopped(tmp_path: Path) -> None:
    """The stop order has exactly the components that are started."""
    components = system_components(tmp_path, read_settings(settings_environ(tmp_path)))
    assert sorted(STOP_ORDER) == sorted(component.name for component in components)


def test_our_modules_are_found_from_any_folder(tmp_path: Path) -> None:
    """The checkout is first on the path, and the caller's path follows."""
    assert system_environ(tmp_path, {})["PYTHONPATH"] == str(ROOT)
    assert system_environ(tmp_path, {"PYTHONPATH": "/x"})["PYTHONPATH"] == f"{ROOT}:/x"
