"""AWS on this machine: moto with what AWS Config has recorded, and a rule that is run with it.

moto answers every call but those of AWS Config. Of these it answers only the ones about recorders
and delivery channels, and the stand-in here answers for ListDiscoveredResources (moto knows few
types and one page), BatchGetResourceConfig (moto answers with an empty list),
GetResourceConfigHistory (moto has none), PutEvaluations (moto accepts it in test mode only, and
keeps nothing) and GetComplianceDetailsByConfigRule (moto has none). Any other call of AWS Config is
an error: an empty answer would certify what nobody looked at.
"""

import json
import os
import re
import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto import mock_aws
from moto.config.exceptions import (
    InvalidParameterValueException,
    NoSuchConfigRuleException,
    ResourceNotDiscoveredException,
)
from moto.config.models import config_backends
from moto.config.responses import ConfigResponse
from moto.core.botocore_stubber import BotocoreStubber, MockRawResponse

from scripts.events import DEFAULT_REGION, find_partition, find_region
from scripts.invocation import Outcome, invoke, load_rule
from scripts.sample_items import CAPTURED, read_recorded_items
from scripts.template import JsonObject

ACCOUNTS = ("123456789012", "111122223333")  # those of the samples
COMPLIANCE_TYPES = ("COMPLIANT", "NON_COMPLIANT", "NOT_APPLICABLE")
# The calls of AWS Config that have an answer.
ANSWERED = re.compile(
    r"config:(PutEvaluations|ListDiscoveredResources|BatchGetResourceConfig|"
    r"GetResourceConfigHistory|GetComplianceDetailsByConfigRule|"
    r"[A-Za-z]+(ConfigurationRecorders?|DeliveryChannels?)(Status)?)"
)


def clean_environment() -> None:
    """Remove every setting of the caller's: profile, proxy, endpoint, credentials, mode."""
    for name in list(os.environ):
        is_setting = name.startswith(("AWS_", "ASSUME_ROLE_", "EXECUTION_ROLE_"))
        if is_setting or "proxy" in name.lower():
            del os.environ[name]
    os.environ |= {
        "AWS_REGION": DEFAULT_REGION,  # as in Lambda
        "AWS_DEFAULT_REGION": DEFAULT_REGION,
        "AWS_ACCESS_KEY_ID": "own-key",  # moto accepts any key; AWS accepts none of these
        "AWS_SECRET_ACCESS_KEY": "own-secret",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "MOTO_ALLOW_NONEXISTENT_REGION": "true",  # moto does not know the newest Regions
    }


@cache
def get_api_models() -> Any:
    """Return one reader of API models for all sessions: reading takes most of a session's time."""
    return botocore.session.get_session().get_component("data_loader")


@dataclass
class LocalAws:
    """What AWS Config has recorded, the calls to AWS, and the evaluations that were accepted."""

    items: list[JsonObject] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)  # config:PutEvaluations
    evaluations: list[JsonObject] = field(default_factory=list)
    # What the rule holds for each resource: its reports with any token but TESTMODE.
    results: dict[tuple[str, str], JsonObject] = field(default_factory=dict)
    rule_name: str = ""  # of the event; empty: any
    region: str = ""
    is_preparing: bool = False  # while a state.py runs, moto may answer everything
    # By call, as IAM writes it: what a state.py answers in ANSWERS, because moto does not.
    answers: dict[str, JsonObject | str] = field(default_factory=dict)
    sessions: dict[str, boto3.Session] = field(default_factory=dict)  # by Region
    modules: dict[tuple[str, str], Any] = field(default_factory=dict)  # by rule and Region

    def record_call(self, _request: Any, call: str) -> Any:
        """Note a call; return its answer, or None to let moto answer."""
        self.calls.append(call)

    def accept_evaluations(self, asked: JsonObject) -> str:
        """Keep the evaluations of a PutEvaluations request, or return why they are refused."""
        if refusal := find_refusal(asked["Evaluations"]):
            return refusal
        self.evaluations += asked["Evaluations"]
        for each in asked["Evaluations"]:
            if asked["ResultToken"] != "TESTMODE":
                self.results[each["ComplianceResourceType"], each["ComplianceResourceId"]] = each
        return ""

    def check_answered(self, call: str) -> None:
        """Raise a RuntimeError if moto would answer a call of AWS Config with nothing."""
        if self.is_preparing or not call.startswith("config:") or ANSWERED.fullmatch(call):
            return
        raise RuntimeError(f"AWS Config has no answer to {name_answer(call)}")

    def list_ids(self, resource_type: str) -> list[str]:
        """Return the ids of the recorded resources of a type."""
        known = [item for item in self.items if item["resourceType"] == resource_type]
        status = "configurationItemStatus"
        deleted = {item["resourceId"] for item in known if "Deleted" in item.get(status, "OK")}
        return sorted({item["resourceId"] for item in known} - deleted)

    def list_history(self, resource_type: str, resource_id: str) -> list[JsonObject]:
        """Return the recorded items of a resource."""
        resource = resource_type, resource_id
        return [
            each for each in self.items if (each["resourceType"], each["resourceId"]) == resource
        ]

    def find_newest(self, resource_type: str, resource_id: str) -> JsonObject | None:
        """Return the newest item of a resource; None if it is deleted or was never recorded."""
        if resource_id not in self.list_ids(resource_type):
            return None
        known = self.list_history(resource_type, resource_id)
        return max(known, key=lambda each: float(each[CAPTURED]))

    def load_sample_state(self, folder: Path) -> None:
        """Record the folder's configuration_items.json and run its state.py, if there are any.

        The state.py runs in the Region that was entered. What it registers on the default session,
        and its ANSWERS, reach the clients of this folder's rule and no other's.
        """
        self.items[:] = read_recorded_items(folder)
        self.results.clear()
        self.answers.clear()
        self.sessions.clear()
        self.modules.clear()
        self.enter_region(self.region)
        state = folder / "state.py"
        if state.exists():
            self.is_preparing = True
            try:
                self.answers.update(runpy.run_path(str(state)).get("ANSWERS", {}))
            except Exception as ex:
                raise ValueError(f"{state}: {type(ex).__name__}: {ex}") from ex
            finally:
                self.is_preparing = False
        self.calls.clear()
        self.evaluations.clear()

    def enter_region(self, region: str) -> None:
        """Let what runs from here on run in the Region, as in Lambda: its clients are there."""
        if region not in self.sessions:
            self.sessions[region] = self.make_session(region)
            for account_id in ACCOUNTS:
                start_recorder(account_id, region)
        self.region = region
        os.environ |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
        boto3.DEFAULT_SESSION = self.sessions[region]

    def make_session(self, region: str) -> boto3.Session:
        """Return a new session: what a state.py registers on it reaches no other rule."""
        session = botocore.session.get_session()
        session.register_component("data_loader", get_api_models())
        return boto3.Session(botocore_session=session, region_name=region)

    def sign_with(self, *credentials: str) -> None:
        """Let new clients sign with key, secret and token; what a state.py registered stays."""
        self.sessions[self.region]._session.set_credentials(*credentials)

    def load_once(self, rule: str) -> Any:
        """Return the rule's module of this Region, loaded once, as Lambda does."""
        if (rule, self.region) not in self.modules:
            self.modules[rule, self.region] = load_rule(rule)
        return self.modules[rule, self.region]


def name_answer(call: str) -> str:
    """Return the end of a sentence: what has no answer, and where to give one."""
    return (
        f'{call.partition(":")[2]} here: give one to "{call}" in ANSWERS of the state.py beside '
        "the event (docs/new-rule.md)."
    )


@contextmanager
def start_local_aws(aws: LocalAws | None = None) -> Iterator[LocalAws]:
    """Let moto answer all calls until the block ends, for AWS Config from what is recorded.

    The recorder is on and records everything, until a state.py stops or narrows it.
    """
    local = aws or LocalAws()
    call_moto = BotocoreStubber.__call__

    def answer(stubber: BotocoreStubber, event_name: str, request: Any, **more: Any) -> Any:
        _, service, operation = event_name.split(".")  # before-send.secrets-manager.ListSecrets
        signed = re.search(r"Credential=[^,]+/([a-z0-9-]+)/aws4", str(request.headers))
        call = f"{signed[1] if signed else service}:{operation}"  # as IAM writes it
        response = local.record_call(request, call)
        if response is None and call in local.answers:
            response = build_response(request, local.answers[call])
        elif response is None:
            local.check_answered(call)
            try:
                response = call_moto(stubber, event_name, request, **more)
            except NotImplementedError as ex:
                raise NotImplementedError(f"moto has no answer to {name_answer(call)}") from ex
        if response is None:  # no call leaves this machine
            raise RuntimeError(f"moto has no answer to {request.method} {request.url}.")
        return response

    keep_session: Any = {"core": {"reset_boto3_session": False}}  # enter_region replaces it
    only_moto = mock.patch.object(BotocoreStubber, "__call__", answer)
    session = mock.patch.object(boto3, "DEFAULT_SESSION", None)
    environment = mock.patch.dict(os.environ)
    with mock_aws(config=keep_session), only_moto, answer_for_config(local), session, environment:
        local.enter_region(DEFAULT_REGION)
        yield local


def get_body(request: Any) -> str:
    """Return what a request sends: JSON, or a query string to a service that answers XML."""
    body = request.body or ""
    return body if isinstance(body, str) else str(body.decode())


def build_response(request: Any, answer: JsonObject | str) -> AWSResponse:
    """Return an answer as AWS sends it.

    It is an object for a service that answers JSON, XML for one that answers XML, or
    "Code: message" for an error.
    """
    headers, status, text = HTTPHeaders(), 200, json.dumps(answer)
    if isinstance(answer, str) and answer.startswith("<"):
        text = answer
    elif isinstance(answer, str):
        code, _colon, message = answer.partition(": ")
        headers["x-amzn-errortype"] = code
        xml = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        text = json.dumps({"__type": code, "message": message})
        status, text = 400, text if get_body(request).startswith("{") else f"{xml}</ErrorResponse>"
    return AWSResponse(request.url, status, headers, MockRawResponse(text))


def start_recorder(account_id: str, region: str) -> None:
    """Let AWS Config record all types in the account and Region."""
    config = config_backends[account_id][region]
    group = {"allSupported": True, "includeGlobalResourceTypes": True}
    role_arn = f"arn:{find_partition(region)}:iam::{account_id}:role/recorder"
    config.put_configuration_recorder(
        {"name": "default", "roleARN": role_arn, "recordingGroup": group}
    )
    config.put_delivery_channel({"name": "default", "s3BucketName": f"config-{account_id}"})
    config.start_configuration_recorder("default")


@contextmanager
def answer_for_config(aws: LocalAws) -> Iterator[None]:
    """Replace moto's answers for AWS Config."""

    def list_discovered_resources(request: ConfigResponse) -> str:
        asked = json.loads(request.body)
        if unknown := asked.keys() - {"resourceType", "nextToken", "limit"}:
            raise RuntimeError(f"Here ListDiscoveredResources does not know {sorted(unknown)}.")
        ids = aws.list_ids(asked["resourceType"])
        page, token = cut_page(ids, asked.get("nextToken"), asked.get("limit") or 100)
        found = [{"resourceType": asked["resourceType"], "resourceId": each} for each in page]
        return json.dumps({"resourceIdentifiers": found, "nextToken": token})

    def get_resource_config_history(request: ConfigResponse) -> str:
        asked = json.loads(request.body)
        resource = asked["resourceType"], asked["resourceId"]
        known = aws.list_history(*resource)
        if not known:
            raise ResourceNotDiscoveredException(*resource)
        earlier, later = asked.get("earlierTime", 0), asked.get("laterTime", float("inf"))
        found = [each for each in known if earlier <= each[CAPTURED] <= later]
        is_newest_first = asked.get("chronologicalOrder") != "Forward"
        found.sort(key=lambda each: each[CAPTURED], reverse=is_newest_first)
        return json.dumps({"configurationItems": found})

    def batch_get_resource_config(request: ConfigResponse) -> str:
        keys = json.loads(request.body)["resourceKeys"]
        if len(keys) > 100:
            raise InvalidParameterValueException("BatchGetResourceConfig accepts at most 100 keys.")
        found = [aws.find_newest(key["resourceType"], key["resourceId"]) for key in keys]
        return json.dumps({"baseConfigurationItems": [each for each in found if each]})

    def put_evaluations(request: ConfigResponse) -> str:
        if refusal := aws.accept_evaluations(json.loads(request.body)):
            raise InvalidParameterValueException(refusal)
        return json.dumps({"FailedEvaluations": []})

    def get_compliance_details_by_config_rule(request: ConfigResponse) -> str:
        asked = json.loads(request.body)
        if aws.rule_name not in ("", asked["ConfigRuleName"]):
            raise NoSuchConfigRuleException(asked["ConfigRuleName"])
        types = asked.get("ComplianceTypes") or ["COMPLIANT", "NON_COMPLIANT"]
        known = [each for each in aws.results.values() if each["ComplianceType"] in types]
        page, token = cut_page(known, asked.get("NextToken"), asked.get("Limit") or 10)
        results = [describe_result(each, asked["ConfigRuleName"]) for each in page]
        return json.dumps({"EvaluationResults": results, "NextToken": token})

    with mock.patch.multiple(
        ConfigResponse,
        create=True,
        list_discovered_resources=list_discovered_resources,
        get_resource_config_history=get_resource_config_history,
        batch_get_resource_config=batch_get_resource_config,
        put_evaluations=put_evaluations,
        get_compliance_details_by_config_rule=get_compliance_details_by_config_rule,
    ):
        yield


def cut_page(found: list[Any], token: str | None, size: int) -> tuple[list[Any], str | None]:
    """Return the page that begins at the token, and the token of the next page, if there is one."""
    start, end = int(token or 0), int(token or 0) + size
    return found[start:end], str(end) if end < len(found) else None


def describe_result(evaluation: JsonObject, rule_name: str) -> JsonObject:
    """Return an evaluation as GetComplianceDetailsByConfigRule answers it."""
    qualifier = {
        "ConfigRuleName": rule_name,
        "ResourceType": evaluation["ComplianceResourceType"],
        "ResourceId": evaluation["ComplianceResourceId"],
    }
    time = evaluation["OrderingTimestamp"]
    return {
        "EvaluationResultIdentifier": {
            "EvaluationResultQualifier": qualifier,
            "OrderingTimestamp": time,
        },
        "ComplianceType": evaluation["ComplianceType"],
        "Annotation": evaluation.get("Annotation"),
    }


def find_refusal(evaluations: list[JsonObject]) -> str:
    """Return what AWS Config refuses and the SDK does not (API: PutEvaluations, Evaluation)."""
    if len(evaluations) > 100:
        return "PutEvaluations accepts at most 100 evaluations."
    for evaluation in evaluations:
        if evaluation["ComplianceType"] not in COMPLIANCE_TYPES:
            expected = f"one of {', '.join(COMPLIANCE_TYPES)}, not {evaluation['ComplianceType']}"
            return f"ComplianceType must be {expected}."
        if not 1 <= len(evaluation.get("Annotation", "none")) <= 256:
            return "An annotation has 1 to 256 characters."
    return ""


def run_rule(rule: str, event: JsonObject, aws: LocalAws) -> Outcome:
    """Run the rule's handler with an event, as Lambda would in the event's Region."""
    aws.enter_region(find_region(event))
    aws.rule_name = event.get("configRuleName", "")
    return invoke(rule, lambda: aws.load_once(rule), event, aws.calls, aws.evaluations)
