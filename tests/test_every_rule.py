"""What every rule does with any event: bad fields, errors of AWS, and what it logs."""

import ast
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from scripts.events import list_sample_events
from scripts.template import ROOT, JsonObject, get_name, read_rule
from tests.helpers import ABSENT, RULES, FakeAws, every_rule, load, read_event, read_sample

# The way to a field: the names of the objects that it is in, and 0 for the first of a list.
Field = tuple[Any, ...]
every_event = pytest.mark.parametrize(
    ("rule", "case"), [(rule, path.stem) for rule in RULES for path in list_sample_events(rule)]
)


# Bad fields


def list_fields(value: Any, parents: Field = ()) -> Iterator[tuple[Field, Any]]:
    """Yield the fields of an object, and of the objects in it, with their values."""
    entries = enumerate(value[:1]) if isinstance(value, list) else ()
    for name, each in value.items() if isinstance(value, dict) else entries:
        yield (*parents, name), each
        yield from list_fields(each, (*parents, name))


def list_fields_of_event(rule: str, event: JsonObject) -> Iterator[tuple[Field, Any]]:
    """Yield the fields of an event that the rule may read, and the parameters that it may have."""
    nodes = ast.walk(ast.parse((ROOT / rule / "app.py").read_text()))
    names = {node.value for node in nodes if isinstance(node, ast.Constant)} - {0}
    yield from (each for each in list_fields(event) if each[0][-1] in names)
    for name in read_rule(rule).optional - event["ruleParameters"].keys():
        yield ("ruleParameters", name), ""


def list_bad_values(value: Any) -> dict[str, Any]:
    """Return what may stand in place of a field's value."""
    return {
        "absent": ABSENT,
        "null": None,
        "empty": type(value)(),
        "another string": "x",
        "a number": 7,
        "a list": ["x"],
        "an object": {"x": "y"},
    }


def replace(content: Any, field: Field, value: Any) -> Any:
    """Return a copy of the object with a field replaced or removed."""
    name, *inner = field
    changed = replace(content[name], tuple(inner), value) if inner else value
    if isinstance(content, list):
        return [changed, *content[1:]]
    rest = {key: each for key, each in content.items() if key != name}
    return rest if changed is ABSENT else {**rest, name: changed}


STRINGS = ("invokingEvent", "ruleParameters")  # they hold JSON


def as_objects(event: JsonObject) -> JsonObject:
    return event | {name: json.loads(event.get(name, "{}")) for name in STRINGS}


def as_sent(event: JsonObject) -> JsonObject:
    given = {name: event[name] for name in STRINGS if isinstance(event.get(name), dict)}
    return event | {name: json.dumps(value) for name, value in given.items()}


def is_about(error: Exception, field: Field, value: Any, bad: str) -> bool:
    """Return whether the error says what is wrong with the field."""
    if bad == "another string" and isinstance(error, ClientError):
        return True  # AWS does not know it
    is_time = bad == "another string" and field[-1].endswith("Time")
    if is_time and isinstance(error, ParamValidationError):  # the SDK cannot read it
        return True
    if is_time and "Invalid isoformat string" in str(error):  # nor can Python
        return True
    named = re.match(r"(\w+) must be ", str(error))
    names = {*field, *(name for below, _value in list_fields(value) for name in below)}
    return isinstance(error, ValueError) and named is not None and named[1] in names


@every_event
def test_bad_field_is_reported_or_named_in_an_error(rule: str, case: str, aws: FakeAws) -> None:
    aws.prepare_rule(rule)
    aws.rule_name = ""  # results of any rule's name are answered
    module, sample = load(rule), as_objects(read_event(rule, case))
    problems = []
    for field, value in list_fields_of_event(rule, sample):
        for bad, replacement in list_bad_values(value).items():
            aws.requests.clear()
            outcome = ""
            try:
                module.lambda_handler(as_sent(replace(sample, field, replacement)), None)
            except Exception as ex:  # noqa: BLE001  # is_about says which errors are right
                if not is_about(ex, field, value, bad) or "PutEvaluations" in aws.operations:
                    outcome = f"{type(ex).__name__}: {ex}"
            else:
                if aws.operations[-1:] != ["PutEvaluations"]:
                    outcome = "nothing is reported"
            if outcome:
                problems.append(f"{'.'.join(map(str, field))} is {bad}: {outcome}")
    assert not problems, (
        f"{rule}/app.py must report these or raise an error that names the field (check_defined, "
        f"field_error):\n{'\n'.join(problems)}"
    )


@every_rule
def test_default_parameters_of_the_template_are_accepted(rule: str, aws: FakeAws) -> None:
    aws.prepare_rule(rule)
    event = read_sample(rule, ruleParameters=json.dumps(read_rule(rule).parameters))
    problem = ""
    try:
        load(rule).lambda_handler(event, None)
    except ValueError as ex:
        problem = str(ex)
    assert not problem, (
        f"template.yaml: give {get_name(rule)}Rule a default that is accepted, or leave the "
        f"parameter out when it is empty: !If [HasX, !Ref X, !Ref AWS::NoValue]. {problem}"
    )


# Errors of AWS, and the log


@every_rule
def test_error_of_any_call_is_raised(rule: str, aws: FakeAws) -> None:
    aws.prepare_rule(rule)
    for path in list_sample_events(rule):
        event, module = read_event(rule, path.stem), load(rule)
        aws.requests.clear()
        module.lambda_handler(event, None)
        for operation in dict.fromkeys(aws.operations):
            aws.evaluations.clear()
            aws.canned_answers[operation] = ["AccessDenied: denied by the test"]
            try:
                module.lambda_handler(event, None)
            except ClientError as ex:
                assert "denied by the test" in str(ex)
            else:
                pytest.fail(
                    f"{rule}/app.py does not raise an error of {operation}: do not catch it, and "
                    "keep no earlier answer in place of the call."
                )
            assert aws.evaluations == [], f"{rule}/app.py reports after an error of {operation}."


@every_rule
def test_log_has_the_evaluations_and_no_secret(
    rule: str, aws: FakeAws, caplog: pytest.LogCaptureFixture
) -> None:
    aws.prepare_rule(rule)
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.NOTSET, "botocore")  # as if no rule had been imported
    answer = load(rule).lambda_handler(read_sample(rule), None)
    records: list[Any] = [each for each in caplog.records if each.message == "evaluations sent"]
    logged = [each for record in records for each in record.evaluations]
    assert logged == answer, f"{rule}/app.py: lambda_handler must return report_evaluations(...)."
    assert {(record.levelname, record.test_mode) for record in records} == {("INFO", False)}
    seen = "".join(f"{record.__dict__} {record.getMessage()}" for record in caplog.records)
    assert "a-real-token" not in seen, f"{rule}/app.py logs the result token: leave it out."
    assert "own-secret" not in seen, f"{rule}/app.py logs credentials: leave them out."
