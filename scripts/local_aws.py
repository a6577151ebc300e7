"""A stand-in for AWS on this machine: moto, taught what AWS Config has recorded."""

from __future__ import annotations

import io
import json
import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock
from urllib.parse import parse_qs

from botocore.utils import parse_timestamp
from moto.config.exceptions import (
    InvalidParameterValueException,
    ResourceNotDiscoveredException,
)
from moto.config.responses import ConfigResponse
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from scripts.stack import Json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

ITEMS = "configuration_items.json"
REQUIRED = {"resourceType", "resourceId", "configurationItemCaptureTime"}
TIMES = {"configurationItemCaptureTime", "configurationItemDeliveryTime", "resourceCreationTime"}
# moto accepts any key; AWS accepts none of these.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "stand-in-key",
    "AWS_SECRET_ACCESS_KEY": "stand-in-secret",
    "AWS_SESSION_TOKEN": "stand-in-token",
}


@dataclass
class ConfigRecord:
    """What AWS Config has recorded of resources, and the evaluations sent to it."""

    items: list[Json] = field(default_factory=list)
    evaluations: list[Json] = field(default_factory=list)


def read_json(path: Path) -> Json:
    """Return the JSON object in a file; ValueError that names the file and the line."""
    try:
        value = json.loads(path.read_text())
    except OSError as ex:
        raise ValueError(f"{path}: {ex.strerror}.") from ex
    except json.JSONDecodeError as ex:
        raise ValueError(f"{path}, line {ex.lineno}: {ex.msg}.") from ex
    except UnicodeDecodeError as ex:
        raise ValueError(f"{path} is not UTF-8 text.") from ex
    except RecursionError as ex:
        raise ValueError(f"{path} is nested too deep.") from ex
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object, not a {type(value).__name__}.")
    return value


def read_items(folder: Path) -> list[Json]:
    """Return the items of the folder's configuration_items.json; none if it has no such file.

    The file is what `aws configservice get-resource-config-history` prints.
    """
    path = folder / ITEMS
    if not path.exists():
        return []
    items: list[Json] = read_json(path).get("configurationItems", [])
    for item in items:
        if not isinstance(item, dict) or not item.keys() >= REQUIRED:
            raise ValueError(f"{path}: each item needs {', '.join(sorted(REQUIRED))}.")
        for name in TIMES & item.keys():
            try:
                item[name] = parse_timestamp(item[name]).timestamp()
            except ValueError as ex:
                raise ValueError(f"{path}: {name} must be a time, not {item[name]!r}.") from ex
    return items


def check_evaluation(evaluation: Json) -> None:
    """Refuse what AWS Config refuses and the SDK does not (API: Evaluation)."""
    if evaluation["ComplianceType"] not in ("COMPLIANT", "NON_COMPLIANT", "NOT_APPLICABLE"):
        raise InvalidParameterValueException(f"ComplianceType {evaluation['ComplianceType']}")
    if not 1 <= len(evaluation.get("Annotation", "none")) <= 256:
        raise InvalidParameterValueException("An annotation has 1 to 256 characters.")


@contextmanager
def record_config() -> Iterator[ConfigRecord]:
    """Let moto answer for AWS Config from a record: any type in it, its history, any result token.

    By itself moto knows few types, no history, and PutEvaluations in test mode only.
    """
    record = ConfigRecord()
    list_by_moto = ConfigResponse.list_discovered_resources

    def put_evaluations(request: ConfigResponse) -> str:
        evaluations = json.loads(request.body)["Evaluations"]
        if len(evaluations) > 100:
            raise InvalidParameterValueException("PutEvaluations takes at most 100 evaluations.")
        for evaluation in evaluations:
            check_evaluation(evaluation)
        record.evaluations += evaluations
        return json.dumps({"FailedEvaluations": []})

    def get_resource_config_history(request: ConfigResponse) -> str:
        asked = json.loads(request.body)
        resource = asked["resourceType"], asked["resourceId"]
        known = [
            item for item in record.items if (item["resourceType"], item["resourceId"]) == resource
        ]
        if not known:
            raise ResourceNotDiscoveredException(*resource)
        earlier, later = asked.get("earlierTime", 0), asked.get("laterTime", float("inf"))
        found = [item for item in known if earlier <= item["configurationItemCaptureTime"] <= later]
        found.sort(key=lambda item: item["configurationItemCaptureTime"], reverse=True)
        return json.dumps({"configurationItems": found})

    def list_ids(resource_type: str) -> list[str]:
        known = [item for item in record.items if item["resourceType"] == resource_type]
        status = "configurationItemStatus"
        deleted = {item["resourceId"] for item in known if "Deleted" in item.get(status, "OK")}
        return sorted({item["resourceId"] for item in known} - deleted)

    def get_discovered_resource_counts(request: ConfigResponse) -> str:
        types = json.loads(request.body)["resourceTypes"]
        found = [{"resourceType": name, "count": len(list_ids(name))} for name in types]
        recorded = [each for each in found if each["count"]]
        return json.dumps({"resourceCounts": recorded})

    def list_discovered_resources(request: ConfigResponse) -> str:
        asked = json.loads(request.body)
        ids = list_ids(asked["resourceType"])
        if not ids:
            return list_by_moto(request)
        start, limit = int(asked.get("nextToken") or 0), asked.get("limit", 100)
        page = [{"resourceType": asked["resourceType"], "resourceId": each} for each in ids]
        answer: Json = {"resourceIdentifiers": page[start : start + limit]}
        if page[start + limit :]:
            answer["nextToken"] = str(start + limit)
        return json.dumps(answer)

    with (
        mock.patch.multiple(
            ConfigResponse,
            put_evaluations=put_evaluations,
            get_resource_config_history=get_resource_config_history,
            list_discovered_resources=list_discovered_resources,
        ),
        mock.patch.object(
            ConfigResponse,
            "get_discovered_resource_counts",
            get_discovered_resource_counts,
            create=True,
        ),
    ):
        yield record


class LocalAws:
    """A running server, what AWS Config has recorded there, and the calls that it was sent."""

    def __init__(self, record: ConfigRecord) -> None:
        """Listen at a free port of 127.0.0.1."""
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for every request
        self.record = record
        self.calls: list[str] = []
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.server = make_server("127.0.0.1", 0, self.answer, threaded=True)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, environ: Json, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Note the operation that a request calls, then let moto answer it."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        operation = environ.get("HTTP_X_AMZ_TARGET", "").split(".")[-1]
        query = parse_qs(body.decode(errors="replace")).get("Action", [])
        path = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        self.calls.append(operation or (query or [path])[0])
        answer: Iterable[bytes] = self.moto(environ, start_response)
        return answer


@contextmanager
def start_local_aws() -> Iterator[LocalAws]:
    """Run the stand-in until the block ends."""
    with record_config() as record:
        aws = LocalAws(record)
        thread = threading.Thread(target=aws.server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield aws
        finally:
            aws.server.shutdown()
            aws.server.server_close()
