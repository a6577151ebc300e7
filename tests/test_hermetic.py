"""Nothing of these tests reaches another machine, and nothing of the caller's reaches them."""

import os

import boto3
import pytest
from moto import mock_aws


def test_call_without_a_mock_is_an_error() -> None:
    with pytest.raises(AssertionError, match=r"No call may leave this machine: POST https://sts"):
        boto3.client("sts").get_caller_identity()


@mock_aws
def test_call_that_moto_lets_out_is_an_error() -> None:
    client = boto3.client("config", endpoint_url="https://config.example.com")
    with pytest.raises(AssertionError, match=r"leave this machine: POST https://config\.example"):
        client.describe_configuration_recorders()


def test_environment_has_no_setting_of_the_callers() -> None:
    settings = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    assert settings["AWS_ACCESS_KEY_ID"] == "own-key"
    assert settings.keys() <= {
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
    }
