"""Where settings come from and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from headgate import settings


def test_the_command_line_beats_the_environment_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "headgate.toml"
    file.write_text('port = 1\nhost = "file"\nlog_level = "debug"\n[limits]\nexecution_s = 5\n')
    found = settings.load({"port": 3}, environ={"HEADGATE_PORT": "2", "HEADGATE_HOST": "env"}, file=file)
    assert (found.port, found.host, found.log_level, found.limits.execution_s) == (3, "env", "debug", 5.0)


def test_a_section_is_set_from_the_environment() -> None:
    found = settings.load(environ={"HEADGATE_SCALING_IDLE_S": "1.5", "HEADGATE_REPLICAS_ZYGOTES": "no"})
    assert (found.scaling.idle_s, found.replicas.zygotes) == (1.5, False)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"HEADGATE_PORT": "eighty"}, "port .from HEADGATE_PORT.: 'eighty' is not a valid int"),
        ({"HEADGATE_REPLICAS_ZYGOTES": "perhaps"}, "replicas.zygotes .from HEADGATE_REPLICAS_ZYGOTES."),
    ],
)
def test_a_bad_value_is_named_with_its_source(environ: dict[str, str], message: str) -> None:
    with pytest.raises(settings.SettingsError, match=message):
        settings.load(environ=environ)


def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "headgate.toml"
    file.write_text("[limits]\nspeed = 1\n")
    with pytest.raises(settings.SettingsError, match=r"unknown setting limits\.speed; known: .*execution_s"):
        settings.load(environ={}, file=file)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(settings.SettingsError, match="does not exist"):
        settings.load(environ={"HEADGATE_CONFIG": str(tmp_path / "none.toml")})


def test_settings_survive_the_way_to_another_process_without_what_is_secret(tmp_path: Path) -> None:
    given = {"data_dir": tmp_path, "limits.execution_s": 7, "storage.secret_access_key": "hush-storage"}
    secret = {name: f"hush-{name}" for name in ("admin_token", "secret_key", "login.client_secret")}
    found = settings.load({**given, **secret}, environ={})
    tree = found.to_json()
    assert "hush" not in str(tree) and "hush" not in repr(found)
    again = settings.from_json(tree, found.secrets())
    assert again.limits.execution_s == 7 and again.data_dir == tmp_path and again.run_dir == found.run_dir
    assert again.storage.secret_access_key == "hush-storage"


def test_run_dir_is_short_and_depends_on_the_data_directory(tmp_path: Path) -> None:
    one = settings.load({"data_dir": tmp_path / "a"}, environ={})
    two = settings.load({"data_dir": tmp_path / "b"}, environ={})
    assert one.run_dir != two.run_dir and len(str(one.run_dir)) < 60


def test_every_field_has_a_variable() -> None:
    names = [variable for _, _, variable in settings.variables()]
    assert "HEADGATE_DATA_DIR" in names and "HEADGATE_LIMITS_PAYLOAD_BYTES" in names
    assert len(names) == len(set(names))
