"""PARAMETERS, written as for `sam deploy --parameter-overrides`."""

import re

import pytest

from scripts.template import parse_parameters
from tests.scripts.helpers import Project


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        pytest.param("", {}, id="none"),
        pytest.param("Limit=5 Owner=ann", {"Limit": "5", "Owner": "ann"}, id="two"),
        pytest.param('Owner=""', {"Owner": ""}, id="an empty value"),
        pytest.param("Owner=''", {"Owner": ""}, id="an empty value in single quotes"),
        pytest.param('Owner="" Limit=5', {"Owner": "", "Limit": "5"}, id="an empty value first"),
        pytest.param('Owner="a b= c"', {"Owner": "a b= c"}, id="an equals sign in quotes"),
        pytest.param("Owner='Limit='", {"Owner": "Limit="}, id="a whole word in quotes"),
        pytest.param("Owner=a\\ b", {"Owner": "a b"}, id="a blank behind a backslash"),
    ],
)
def test_value_is_read_as_the_shell_does(
    text: str, parameters: dict[str, str], project: Project
) -> None:
    project.replace("template.yaml", '    AllowedPattern: "[a-z]*"\n', "")
    assert parse_parameters(text) == parameters


@pytest.mark.parametrize("text", ["Owner=", "Owner= Limit=5", "Limit=5 Owner=", " Owner= "])
def test_value_that_sam_would_drop_is_an_error(text: str, project: Project) -> None:
    message = 'PARAMETERS: write Owner="" for an empty value.'
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_parameters(text)
