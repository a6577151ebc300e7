"""What a preview prints."""

from collections import Counter, defaultdict

from scripts.local_aws import COMPLIANCE_TYPES
from scripts.output import count, format_result, format_table
from scripts.preview.compare import Comparison
from scripts.preview.evaluation import Preview, Row
from scripts.template import ConfigRule

RESOURCES_SHOWN = 20  # of a rule
ANNOTATIONS_SHOWN = 5


def print_preview(rule: ConfigRule, result: Preview, *, show_all: bool) -> None:
    """Print a table, the most frequent annotations, the resources and a line that sums them up."""
    print_table(rule, result.rows)
    kinds = COMPLIANCE_TYPES if show_all or rule.is_periodic else ("NON_COMPLIANT",)
    shown = [row for row in result.rows if row.compliance_type in kinds]
    frequent = Counter(row.annotation for row in shown).most_common(ANNOTATIONS_SHOWN)
    if frequent and frequent[0][1] > 1:
        print(*(f"{number:>7,} x  {escape(text)}" for text, number in frequent), "", sep="\n")
    listed = shown if show_all else shown[:RESOURCES_SHOWN]
    has_several = len({(row.account, row.region) for row in result.rows}) > 1
    for row in listed:
        where = (row.account, row.region) if has_several else ()
        details = row.resource_id, *where, row.annotation
        print(format_result(row.compliance_type, *map(escape, details)))
    if len(shown) > len(listed):
        print(f"and {len(shown) - len(listed):,} more (ALL=1, or CSV=file)")
    print_end(rule, result)


def print_differences(
    rule: ConfigRule, result: Preview, comparison: Comparison, *, show_all: bool
) -> None:
    """Print a table, what differs by its kind, and the resources."""
    print_table(rule, result.rows)
    if not comparison.has_rule(rule.name):
        print(f"{comparison.path} has no result of {rule.name}.")
    elif result.rows and not comparison.has_common_resource(rule.name):
        print(f"{comparison.path} and this preview have no resource in common.")
        print("Is it of the same rule, account and Region? The name of the rule is not compared.")
    counts = comparison.count_differences(rule.name)
    for earlier, later, number in counts:
        print(f"{name_change(earlier, later)}: {number:,}")
    print("" if counts else "nothing changed")
    left: Counter[str] = Counter()
    has_several = len({(row.account, row.region) for row in result.rows}) > 1
    for each in comparison.list_differences(rule.name):
        kind = "new" if not each.earlier else "old" if not each.later else "changed"
        left[kind] += 1
        if show_all or left[kind] <= RESOURCES_SHOWN:
            where = (each.account, each.region) if has_several else ()
            change = name_change(each.earlier, each.later)
            details = each.resource_id, *where, each.annotation
            print(format_result(change, *map(escape, details)))
    if not show_all and (more := sum(max(number - RESOURCES_SHOWN, 0) for number in left.values())):
        print(f"and {more:,} more (ALL=1)")
    print_end(rule, result)


def escape(text: str) -> str:
    """Return the text on one line, without what a terminal would act on."""
    line = " ".join(text.split())
    return line if line.isprintable() else repr(line)[1:-1]


def name_change(earlier: str | None, later: str | None) -> str:
    """Return what became of a resource's result."""
    if not earlier:
        return f"new, {later}"
    return f"{earlier} to {later}" if later else f"not evaluated any more, was {earlier}"


def count_by_account_region(rows: list[Row]) -> dict[tuple[str, str], Counter[str]]:
    """Return how many results there are of each kind, by account and Region."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[row.account, row.region][row.compliance_type] += 1
    return counts


def print_table(rule: ConfigRule, rows: list[Row]) -> None:
    """Print the rule's name and how many results there are."""
    print(f"{rule.name}\n", *format_table(count_by_account_region(rows)), "", sep="\n")


def print_end(rule: ConfigRule, result: Preview) -> None:
    """Print the errors, each kind once, a note, and a line that sums the results up."""
    errors: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in result.rows:
        if row.compliance_type == "ERROR":
            errors[row.annotation.partition(":")[0], *row.frames].append(row)
    for (_kind, *frames), same in errors.items():
        more = f"and {len(same) - 1:,} more" if len(same) > 1 else ""
        details = same[0].resource_id, more, same[0].annotation
        print(format_result("ERROR", *map(escape, details)))
        print("".join(f"    {line}\n" for line in frames), end="")
    if result.note:
        print(result.note)
    found = sum(count_by_account_region(result.rows).values(), Counter[str]())
    number = found.total() - found["ERROR"]
    print(f"{rule.name}: {number} evaluation{'' if number == 1 else 's'}: {count(found)}")
