"""What would change: a preview against an earlier one, or against the deployed rule."""

import sqlite3
import weakref
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import ijson

from scripts.preview.csv_file import read_csv
from scripts.preview.evaluation import Row
from scripts.preview.files import NotExportError, read_chunks
from scripts.preview.forms import Reader, TopLevel
from scripts.preview.items import parse_time
from scripts.preview.record import name_first

DEPLOYED = "what `aws configservice get-compliance-details-by-config-rule` prints"
# AWS Config keeps no result that is NOT_APPLICABLE: a resource with that one has none.
TABLES = """
CREATE TABLE before (rule, account, region, type, id, result, recorded,
    PRIMARY KEY (rule, account, region, type, id)) WITHOUT ROWID;
CREATE TABLE now (rule, account, region, type, id, result, annotation,
    PRIMARY KEY (rule, account, region, type, id)) WITHOUT ROWID;
CREATE VIEW difference AS
SELECT now.rule, now.account, now.region, now.type, now.id, before.result AS earlier,
    now.result AS later, now.annotation
FROM now LEFT JOIN (SELECT * FROM before WHERE result != 'NOT_APPLICABLE') AS before
    USING (rule, account, region, type, id)
WHERE now.result NOT IN ('NOT_APPLICABLE', coalesce(before.result, ''))
UNION ALL
SELECT rule, account, region, type, id, before.result, NULL, coalesce(now.annotation, '')
FROM before LEFT JOIN now USING (rule, account, region, type, id)
WHERE before.result != 'NOT_APPLICABLE'
    AND coalesce(now.result, 'NOT_APPLICABLE') = 'NOT_APPLICABLE';
"""
ADD_BEFORE = "INSERT OR REPLACE INTO before VALUES (?, ?, ?, ?, ?, ?, ?)"
ADD_NOW = "INSERT OR REPLACE INTO now VALUES (?, ?, ?, ?, ?, ?, ?)"
# What got worse comes first; then the other changes, what is new, what is not evaluated any more.
COUNT = """
SELECT earlier, later, count(*) FROM difference WHERE rule = ? GROUP BY earlier, later
ORDER BY later IS NULL, earlier IS NULL, later != 'NON_COMPLIANT', later, earlier
"""
LIST = """
SELECT * FROM difference WHERE rule = ?
ORDER BY later IS NULL, earlier IS NULL, later != 'NON_COMPLIANT', later, earlier,
    account, region, type, id
"""
COMMON = """
SELECT 1 FROM before JOIN now USING (rule, account, region, type, id) WHERE rule = ? LIMIT 1
"""
GOT_WORSE = """
SELECT 1 FROM difference WHERE later = 'NON_COMPLIANT' LIMIT 1
"""


class Difference(NamedTuple):
    """A resource whose result differs; without one, `earlier` or `later` is None."""

    rule: str
    account: str
    region: str
    resource_type: str
    resource_id: str
    earlier: str | None
    later: str | None
    annotation: str


class Comparison:
    """The results before, of a file, and now; in a temporary database, as the record is."""

    def __init__(self, path: Path, rule: str | None) -> None:
        """Read the results before; those of AWS Config are those of this rule.

        ValueError: the file is of another form, damaged or one page of several.
        """
        self.path = path
        modified = path.stat().st_mtime
        self.database = sqlite3.connect("")
        weakref.finalize(self, self.database.close)
        self.database.executescript(TABLES)
        try:
            reader = Reader(read_chunks(path))
            start = next(reader.look_ahead(), b"")
        except NotExportError as ex:
            raise ValueError(f"{path} {ex}.") from None
        self.is_deployed = start.lstrip().startswith(b"{")
        if self.is_deployed and not rule:
            raise ValueError(f"{path} is of one rule: add RULE=, the folder of that rule.")
        if self.is_deployed:
            self.database.executemany(ADD_BEFORE, read_deployed(path, reader, rule or ""))
        else:
            self.database.executemany(ADD_BEFORE, ((*row[:6], None) for row in read_csv(path)))
        self.age = self.describe_age(modified)

    def describe_age(self, modified: float) -> str:
        """Return when AWS Config recorded the newest result, or else when the file was changed."""
        (recorded,) = self.database.execute("SELECT max(recorded) FROM before").fetchone()
        time = datetime.fromtimestamp(recorded or modified, UTC)
        return f"{'newest result' if recorded else 'file'} of {time:%Y-%m-%d %H:%M} UTC"

    def check_account_regions(self, account_regions: Iterable[tuple[str, str]]) -> None:
        """Raise a ValueError if the exports are of more than what the results before are of."""
        known = {
            f"{account} in {region}" for account, region in account_regions if region != "global"
        }
        if self.is_deployed and len(known) > 1:
            only = "what AWS Config reports is of one account and Region"
            names = name_first(sorted(known), len(known))
            raise ValueError(f"{self.path}: {only}, but the exports are of {names}.")

    def add(self, rows: Iterable[Row]) -> None:
        """Note results of the preview."""
        for row in rows:
            origin = ("", "") if self.is_deployed else (row.account, row.region)
            resource = row.resource_type, row.resource_id
            values = row.rule, *origin, *resource, row.compliance_type, row.annotation
            self.database.execute(ADD_NOW, values)

    def has_rule(self, rule: str) -> bool:
        """Return whether there are results of the rule before."""
        query = "SELECT 1 FROM before WHERE rule = ? LIMIT 1"
        return self.database.execute(query, [rule]).fetchone() is not None

    def has_common_resource(self, rule: str) -> bool:
        """Return whether a resource has a result of the rule before and now."""
        return self.database.execute(COMMON, [rule]).fetchone() is not None

    def count_differences(self, rule: str) -> list[tuple[str | None, str | None, int]]:
        """Return how many resources of a rule have which result before and now."""
        return self.database.execute(COUNT, [rule]).fetchall()

    def list_differences(self, rule: str) -> Iterator[Difference]:
        """Yield the resources of a rule whose result differs."""
        return map(Difference._make, self.database.execute(LIST, [rule]))

    def is_worse(self) -> bool:
        """Return whether something is NON_COMPLIANT now and was not before."""
        return self.database.execute(GOT_WORSE).fetchone() is not None


def read_deployed(
    path: Path, reader: Reader, rule: str
) -> Iterator[tuple[str | float | None, ...]]:
    """Yield what AWS Config reports as rows of the rule (API: GetComplianceDetailsByConfigRule)."""
    reader.top_level = TopLevel()
    try:
        for position, result in enumerate(ijson.items(reader, "EvaluationResults.item"), 1):
            try:
                row = read_result(result)
            except KeyError as ex:
                raise ValueError(f"{path}: result {position} lacks {ex}.") from None
            except TypeError:
                raise ValueError(f"{path}: result {position} is no evaluation result.") from None
            if row:
                yield rule, "", "", *row
    except ijson.JSONError as ex:
        raise ValueError(f"{path} is damaged, its JSON breaks off: export it again.") from ex
    if not reader.top_level.fields.get("EvaluationResults"):
        raise ValueError(f"{path} must be the CSV file of a preview, or {DEPLOYED}.")
    if reader.top_level.fields.get("NextToken"):
        raise ValueError(f"{path} has a NextToken, so it is one page: leave out --max-items.")


def read_result(result: Any) -> tuple[str | float | None, ...] | None:
    """Return the resource type, the id, the compliance type and the time of a result.

    None: it is proactive, so it is of no resource that exists. KeyError: a field that it lacks.
    TypeError: a value of another kind.
    """
    qualifier = result["EvaluationResultIdentifier"]["EvaluationResultQualifier"]
    names = qualifier["ResourceType"], qualifier["ResourceId"], result["ComplianceType"]
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"The names must be strings, not {names}.")
    if qualifier.get("EvaluationMode") == "PROACTIVE":
        return None
    recorded = parse_time(result.get("ResultRecordedTime"))
    return *names, recorded.timestamp() if recorded else None
