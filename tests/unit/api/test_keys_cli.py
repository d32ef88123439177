"""What `python -m api keys create` refuses before it asks the database."""

import pytest
from typer.testing import CliRunner

from api.command import cli


def create(*options):
    return CliRunner().invoke(cli, ["keys", "create", *options], env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--permission", "write"], "'write' is none of submit, read, cancel, administer"),
        (["--permission", "read", "--permission", "READ"], "'READ' is none of submit"),
        (["--profile", "root"], "'root' is none of minimal, standard, privileged"),
        (["--image", "nothing"], "'nothing' is none of python"),
        (["--network", "all"], "'all' is none of none, restricted, full"),
        (["--network", ""], "'' is none of none"),
        (["--all-permissions", "--permission", "read"], "has them all already"),
        (["--expires-days", "0"], "greater than or equal to 1"),
        (["--expires-days", "3651"], "less than or equal to 3650"),
        (["--tenant", "No"], "lower-case letters"),
    ],
)
def test_a_wrong_option_names_what_is_valid(options, told):
    refused = create(*options)
    assert refused.exit_code == 2
    assert told in refused.output


def test_the_help_says_what_each_permission_is_and_what_comes_unasked():
    text = " ".join(create("--help").output.replace("│", " ").split())
    assert "administer (store and delete agents" in text
    assert "[default: (submit, read, cancel)]" in text
