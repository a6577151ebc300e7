"""The two rules written for rdklib, AWS's library for such rules: the peer of the benchmark."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from rdklib import ComplianceType, ConfigRule, Evaluation, Evaluator


class DesiredInstanceType(ConfigRule):  # type: ignore[misc]
    """Judges whether an EC2 instance is of a wanted type."""

    def evaluate_change(  # noqa: D102  # documented by rdklib
        self,
        event: dict[str, Any],  # noqa: ARG002
        client_factory: Any,  # noqa: ARG002
        configuration_item: dict[str, Any],
        valid_rule_parameters: dict[str, str],
    ) -> list[Any]:
        found = configuration_item["configuration"]["instanceType"]
        wanted = valid_rule_parameters["desiredInstanceType"]
        if any(fnmatchcase(found, entry.strip()) for entry in wanted.split(",")):
            return [Evaluation(ComplianceType.COMPLIANT)]
        return [Evaluation(ComplianceType.NON_COMPLIANT, annotation=f"{found} is not {wanted}.")]


class ResourceCountLimit(ConfigRule):  # type: ignore[misc]
    """Judges whether the account holds more resources of a type than allowed."""

    def evaluate_periodic(  # noqa: D102  # documented by rdklib
        self,
        event: dict[str, Any],
        client_factory: Any,
        valid_rule_parameters: dict[str, str],
    ) -> list[Any]:
        pages = (
            client_factory.build_client("config")
            .get_paginator("list_discovered_resources")
            .paginate(resourceType=valid_rule_parameters["applicableResourceType"])
        )
        count = 0
        for page in pages:
            count += len(page["resourceIdentifiers"])
            if count > int(valid_rule_parameters["maxCount"]):
                break
        over = count > int(valid_rule_parameters["maxCount"])
        verdict = ComplianceType.NON_COMPLIANT if over else ComplianceType.COMPLIANT
        return [Evaluation(verdict, event["accountId"], "AWS::::Account", f"{count} found.")]


def change_handler(event: dict[str, Any], context: object) -> Any:
    """Handle a change as rdklib's own template does."""
    return Evaluator(DesiredInstanceType(), ["AWS::EC2::Instance"]).handle(event, context)


def periodic_handler(event: dict[str, Any], context: object) -> Any:
    """Handle a periodic notification as rdklib's own template does."""
    return Evaluator(ResourceCountLimit()).handle(event, context)
