"""A stand-in for AWS on this machine: moto's server, taught to show EC2 instances to AWS Config."""

from __future__ import annotations

import json
import logging
import tempfile
from base64 import b64decode
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock
from urllib.parse import parse_qs

import boto3
from moto.config.models import RESOURCE_MAP
from moto.core.common_models import ConfigQueryModel
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.instances import Instance
from moto.moto_api import recorder
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "us-east-1"
ACCOUNT_ID = "123456789012"
INSTANCE = "AWS::EC2::Instance"
# moto accepts any key; AWS accepts none of these.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "stand-in-key",
    "AWS_SECRET_ACCESS_KEY": "stand-in-secret",
    "AWS_SESSION_TOKEN": "stand-in-token",
}


class InstanceConfigQuery(ConfigQueryModel[EC2Backend]):
    """What AWS Config knows of moto's EC2 instances, in the form of moto's own query models."""

    def list_config_service_resources(  # noqa: D102  # documented by moto
        self,
        account_id: str,
        partition: str,  # noqa: ARG002
        resource_ids: list[str] | None,
        resource_name: str | None,  # noqa: ARG002
        limit: int,
        next_token: str | None,
        backend_region: str | None = None,
        resource_region: str | None = None,  # noqa: ARG002
        aggregator: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> tuple[list[dict[str, Any]], str | None]:
        found = sorted(
            instance.id
            for instance in self.backends[account_id][backend_region or REGION].all_instances()
            if not resource_ids or instance.id in resource_ids
        )
        start = int(next_token or 0)
        page = [
            {"type": INSTANCE, "id": instance_id, "name": None, "region": backend_region}
            for instance_id in found[start : start + limit]
        ]
        return page, str(start + limit) if found[start + limit :] else None

    def get_config_resource(  # noqa: D102  # documented by moto
        self,
        account_id: str,
        partition: str,
        resource_id: str,
        resource_name: str | None = None,  # noqa: ARG002
        backend_region: str | None = None,
        resource_region: str | None = None,  # noqa: ARG002
    ) -> dict[str, Any] | None:
        region = backend_region or REGION
        for instance in self.backends[account_id][region].all_instances():
            if instance.id == resource_id:
                return describe(instance, partition, account_id, region)
        return None


def describe(instance: Instance, partition: str, account_id: str, region: str) -> dict[str, Any]:
    """Return the instance as the configuration item of the AWS Config API."""
    launched = instance.launch_time.timestamp()
    return {
        "version": "1.3",
        "accountId": account_id,
        "configurationItemCaptureTime": launched,
        "configurationItemStatus": "OK",
        "configurationStateId": str(int(launched * 1000)),
        "configurationItemMD5Hash": "",
        "arn": f"arn:{partition}:ec2:{region}:{account_id}:instance/{instance.id}",
        "resourceType": INSTANCE,
        "resourceId": instance.id,
        "awsRegion": region,
        "availabilityZone": instance.placement.availability_zone,
        "resourceCreationTime": launched,
        "tags": {tag["key"]: tag["value"] for tag in instance.get_tags()},
        "relatedEvents": [],
        "relationships": [],
        "configuration": json.dumps(
            {"instanceId": instance.id, "instanceType": instance.instance_type}
        ),
        "supplementaryConfiguration": {},
    }


def launch(
    endpoint: str, instance_id: str, instance_type: str, session: boto3.Session | None = None
) -> None:
    """Launch an instance in moto (API: RunInstances) under the id that an event names."""
    ec2: Any = (session or start_session(CREDENTIALS)).client("ec2", endpoint_url=endpoint)
    with mock.patch("moto.ec2.models.instances.random_instance_id", return_value=instance_id):
        ec2.run_instances(
            ImageId="ami-12c6146b", InstanceType=instance_type, MinCount=1, MaxCount=1
        )


def start_session(credentials: dict[str, str]) -> boto3.Session:
    """Return a session with credentials written as environment variables."""
    return boto3.Session(
        credentials["AWS_ACCESS_KEY_ID"],
        credentials["AWS_SECRET_ACCESS_KEY"],
        credentials["AWS_SESSION_TOKEN"],
        REGION,
    )


class LocalAws:
    """A running moto server and the calls it was sent."""

    def __init__(self, endpoint: str) -> None:
        """Record the calls from now on."""
        self.endpoint = endpoint
        recorder.start_recording()
        self.forget_calls()

    def forget_calls(self) -> None:
        """Forget the calls so far."""
        recorder.reset_recording()

    def get_calls(self) -> list[str]:
        """Return the names of the operations called since they were last forgotten."""
        return [call["operation"] for call in self.get_requests()]

    def get_requests(self) -> list[dict[str, Any]]:
        """Return operation, body and headers of each call since they were last forgotten."""
        requests = [json.loads(line) for line in recorder.download_recording().splitlines()]
        for request in requests:
            body = b64decode(request["body"]).decode()
            target = request["headers"].get("X-Amz-Target")
            request["operation"] = target.split(".")[-1] if target else parse_qs(body)["Action"][0]
            request["body"] = body
        return requests


@contextmanager
def start_local_aws() -> Iterator[LocalAws]:
    """Run moto's server on 127.0.0.1, at a free port, until the block ends."""
    RESOURCE_MAP[INSTANCE] = InstanceConfigQuery(ec2_backends)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # no line for every request
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        # moto reads the file's place from the environment when it is imported: too early for us.
        recorder._location = str(Path(folder) / "calls")
        server.start()
        try:
            host, port = server.get_host_and_port()
            yield LocalAws(f"http://{host}:{port}")
        finally:
            recorder.stop_recording()
            server.stop()
            ec2_backends.reset()
            del RESOURCE_MAP[INSTANCE]
