"""AWS Config and STS over HTTP on 127.0.0.1, for what moto does not do: faults, history, tokens.

Every request is checked against botocore's own model of the service, so a call that AWS would
refuse is refused here.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import botocore.session
from botocore.model import ListShape, Shape, StringShape, StructureShape
from botocore.validate import ParamValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botocore.model import ServiceModel

Answer = dict[str, Any]


@dataclass
class Call:
    """One request that the server took."""

    operation: str
    parameters: dict[str, Any]
    access_key: str
    attempt: str


@dataclass
class Fault:
    """One way to fail a request; without an error, `seconds` of silence or a dropped connection."""

    status: int = 0
    code: str = ""
    message: str = "said the service"
    seconds: float = 0


THROTTLED = Fault(400, "ThrottlingException", "Rate exceeded")
BROKEN = Fault(500, "InternalFailure")
DENIED = Fault(400, "AccessDeniedException", "User is not authorized")
EXPIRED = Fault(400, "ExpiredTokenException", "The security token is expired")
DROPPED = Fault()


class FakeAws(ThreadingHTTPServer):
    """The server, what it answers and what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls: list[Call] = []
        self.connections = 0
        self.attempts: Counter[str] = Counter()
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.history: list[dict[str, Any]] = []
        self.empty_history_pages = 0
        self.fleet = 0
        self.page_sizes: list[int] = []
        self.session = timedelta(hours=1)
        self.state: dict[str, Any] = {}
        self.answers: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "PutEvaluations": lambda _: {"FailedEvaluations": []},
            "GetResourceConfigHistory": self.get_history,
            "ListDiscoveredResources": self.list_resources,
            "GetComplianceDetailsByConfigRule": lambda _: {"EvaluationResults": []},
            "AssumeRole": self.assume_role,
        }

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def operations(self) -> list[str]:
        return [call.operation for call in self.calls]

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """The evaluations of all requests that were answered and not failed."""
        return [
            evaluation
            for call in self.calls
            if call.operation == "PutEvaluations"
            for evaluation in call.parameters["Evaluations"]
        ]

    def get_history(self, parameters: dict[str, Any]) -> Answer:
        """Answer with the items in the time asked for, both ends included, newest first."""
        page = int(parameters.get("nextToken", "0"))
        if page < self.empty_history_pages:
            return {"configurationItems": [], "nextToken": str(page + 1)}
        found = [
            item
            for item in self.history
            if parameters.get("earlierTime", 0)
            <= item["configurationItemCaptureTime"]
            <= parameters.get("laterTime", time.time())
        ]
        found.sort(key=lambda item: item["configurationItemCaptureTime"], reverse=True)
        return {"configurationItems": found}

    def list_resources(self, parameters: dict[str, Any]) -> Answer:
        """Answer with pages of the sizes given, or else full pages of a fleet."""
        page = int(parameters.get("nextToken", "0"))
        limit = parameters.get("limit", 100)
        sizes = self.page_sizes or [limit] * (self.fleet // limit) + [self.fleet % limit]
        answer: Answer = {
            "resourceIdentifiers": [
                {"resourceType": parameters["resourceType"], "resourceId": f"i-{page}-{number}"}
                for number in range(sizes[page])
            ]
        }
        if page + 1 < len(sizes):
            answer["nextToken"] = str(page + 1)
        return answer

    def assume_role(self, parameters: dict[str, Any]) -> Answer:
        """Answer with credentials whose key id tells the account."""
        expiration = datetime.now(UTC) + self.session
        return {
            "AccessKeyId": "ASIA" + parameters["RoleArn"].split(":")[4],
            "SecretAccessKey": "local-secret",
            "SessionToken": "local-session",
            "Expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


class Handler(BaseHTTPRequestHandler):
    """Speaks JSON 1.1 for AWS Config and the query protocol for STS."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # one packet for an answer, not one for each of its parts
    server: FakeAws

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        target = self.headers.get("X-Amz-Target")
        if target:
            service, operation, parameters = "config", target.split(".")[1], json.loads(body)
        else:
            parameters = dict(parse_qsl(body))
            service, operation = "sts", parameters.pop("Action")
            parameters.pop("Version")
        self.query = service == "sts"
        self.server.attempts[operation] += 1
        if self.fail(operation):
            return
        if problem := check(service, operation, parameters):
            self.respond_error(400, "ValidationException", problem)
            return
        access_key = re.search("Credential=([^/]*)/", self.headers["Authorization"])[1]  # type: ignore[index]
        attempt = self.headers.get("amz-sdk-request", "")
        self.server.calls.append(Call(operation, parameters, access_key, attempt))
        answer = self.server.answers[operation](parameters)
        if self.query:
            fields = "".join(f"<{name}>{value}</{name}>" for name, value in answer.items())
            self.respond(
                200,
                f"<AssumeRoleResponse><AssumeRoleResult><Credentials>{fields}</Credentials>"
                "</AssumeRoleResult></AssumeRoleResponse>",
            )
        else:
            self.respond(200, json.dumps(answer))

    def fail(self, operation: str) -> bool:
        """Fail the request as planned for its operation; False if nothing is planned."""
        if not self.server.faults[operation]:
            return False
        fault = self.server.faults[operation].pop(0)
        time.sleep(fault.seconds)
        self.close_connection = not fault.status
        if fault.status:
            self.respond_error(fault.status, fault.code, fault.message)
        return True

    def respond_error(self, status: int, code: str, message: str) -> None:
        if self.query:
            error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
            self.respond(status, f"<ErrorResponse>{error}</ErrorResponse>")
        else:
            self.respond(status, json.dumps({"__type": code, "message": message}))

    def respond(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing."""


@cache
def load_model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


def check(service: str, operation: str, parameters: dict[str, Any]) -> str:
    """Return what AWS's model says against the parameters, empty if nothing."""
    shape = load_model(service).operation_model(operation).input_shape
    assert shape is not None
    report = ParamValidator().validate(parameters, shape)
    return str(report.generate_report()) or check_lengths(parameters, shape, operation)


def check_lengths(value: Any, shape: Shape, name: str) -> str:
    """Return which part is longer than the model's maximum, which botocore leaves to AWS."""
    if isinstance(shape, StructureShape):
        parts = [(value[key], shape.members[key], key) for key in value]
    elif isinstance(shape, ListShape):
        parts = [(part, shape.member, name) for part in value]
    else:
        parts = []
    if isinstance(shape, StringShape | ListShape) and len(value) > shape.metadata.get(
        "max", len(value)
    ):
        return f"{name} is longer than {shape.metadata['max']}"
    return next(filter(None, (check_lengths(*part) for part in parts)), "")


@contextmanager
def start_fake_aws() -> Iterator[FakeAws]:
    """Run the server until the block ends."""
    server = FakeAws()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


if __name__ == "__main__":
    with start_fake_aws() as fake:
        print(fake.endpoint, flush=True)  # noqa: T201
        threading.Event().wait()
