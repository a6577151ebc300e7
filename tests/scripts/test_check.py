"""`make check`: each problem is one sentence, and all of them are told at once."""

from pathlib import Path

import pytest

from scripts import check
from tests.scripts.helpers import Project, find_problems

EVENT, APP, TEMPLATE = "events/sizes/small.json", "sizes/app.py", "template.yaml"
CHANGE = "ConfigurationItemChangeNotification"


def test_project_without_a_problem_passes(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check.main([]) == 0
    assert capsys.readouterr().out == "Nothing to correct in sizes, volumes.\n"


def test_all_problems_are_told_at_once(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.replace(EVENT, ":", "")
    project.replace("events/sizes/large.json", "TESTMODE", "real")
    project.replace("volumes/app.py", "def lambda_handler(", "def lambda_handler(:")
    project.replace("README.md", "`3`", "`4`")
    assert check.main([]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "volumes/app.py, line 28: invalid syntax: correct it.",
        "README.md: correct the rows of ['Limit'] to what template.yaml says of them.",
        "events/sizes/large.json: resultToken must be TESTMODE, a dry run.",
        "events/sizes/small.json: Expecting ':' delimiter: line 2 column 19 (char 20): correct it.",
    ]


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        pytest.param(
            TEMPLATE,
            "Resources:",
            "Resources: [",
            "template.yaml cannot be read: while parsing a flow",
            id="no YAML",
        ),
        pytest.param(
            TEMPLATE,
            "Resources:",
            "Others:",
            "template.yaml lacks what the rules need (KeyError('Resources')): add it.",
            id="a template without resources",
        ),
        pytest.param(
            TEMPLATE,
            "SourceDetails:",
            "Details:",
            "template.yaml: SizesRule lacks what each rule needs (KeyError('SourceDetails')): add",
            id="a rule without its trigger",
        ),
        pytest.param(
            TEMPLATE,
            "  SizesRule:",
            "  Other:",
            "template.yaml has no SizesRule: each rule needs one.",
            id="a function without a rule",
        ),
        pytest.param(
            TEMPLATE,
            "!Ref Limit,",
            "!Ref Limits,",
            "template.yaml: limit of sizes must be a text, !Ref X or !If [HasX, !Ref X, ",
            id="a parameter that the stack does not have",
        ),
    ],
)
def test_template_that_cannot_be_read(
    name: str, old: str, new: str, problem: str, project: Project
) -> None:
    project.replace(name, old, new)
    assert next(find_problems(project)).startswith(problem)


FUNCTION = "template.yaml: SizesFunction"
PERMISSION = "template.yaml: SizesPermission"
RULE = "template.yaml: SizesRule"
ONE_FILE = "because a rule is one app.py, which needs only what Lambda has."


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        # Code
        pytest.param(
            APP,
            "def lambda_handler",
            "def handler",
            f"{APP} has no lambda_handler(event, context): write it.",
            id="no handler",
        ),
        pytest.param(
            APP,
            "import boto3\n",
            "import boto3\nimport requests.auth\n",
            f"{APP} imports requests.auth: use only the standard library, boto3 and botocore, "
            "which Lambda has.",
            id="another library",
        ),
        pytest.param(
            APP,
            "    item = get_",
            "    from .helpers import x\n    item = get_",
            f"{APP} imports .helpers: use only the standard library, boto3 and botocore, which "
            "Lambda has.",
            id="another file of the folder",
        ),
        pytest.param(
            APP,
            '"Annotation": annotation,',
            '"Annotation": annotation or "",',
            "volumes/app.py: report_evaluations differs from the one in sizes/app.py: above the "
            "heading '# ----- This rule' write the same text in both, or rename one.",
            id="a shared function that was changed",
        ),
        pytest.param(
            APP,
            "# ----- This rule",
            "# ----- Mine",
            f"{APP} needs the heading '# ----- This rule' after report_evaluations: add it.",
            id="no heading",
        ),
        pytest.param(
            APP,
            "limit, unit (GiB), owner",
            "limit, owner",
            f"{APP}: say in the docstring what the parameter unit is.",
            id="a parameter that the docstring does not have",
        ),
        pytest.param(
            APP,
            'if "owner" in parameters',
            "if False",
            f"{APP} does not read the parameter owner: read it, or remove it from InputParameters "
            "in template.yaml.",
            id="a parameter that is not read",
        ),
        pytest.param(
            APP,
            '"""A rule of the tests that changes trigger: no volume has more GiB than the limit.',
            '"""A periodic rule of the tests: the account has few volumes; a count decides.',
            "volumes/app.py: the docstring begins as in sizes/app.py: say what the rule is about.",
            id="the docstring of another rule",
        ),
        # Files
        pytest.param(
            APP,
            "",
            None,
            "template.yaml: CodeUri names sizes/, but there is no sizes/app.py: write it, or "
            "remove the rule's section.",
            id="no app.py",
        ),
        pytest.param(
            "other/app.py",
            "",
            "",
            "template.yaml has no function with CodeUri: other/: add one, or move the folder.",
            id="a folder that the template does not have",
        ),
        pytest.param(
            "sizes/helpers.py",
            "",
            "",
            f"sizes/helpers.py: move it elsewhere, {ONE_FILE}",
            id="a second file",
        ),
        pytest.param(
            "sizes/requirements.txt",
            "",
            "# comment\n\nrequests\n",
            f"sizes/requirements.txt: remove requests, {ONE_FILE}",
            id="a requirement",
        ),
        pytest.param(
            "tests/test_sizes.py",
            "",
            None,
            "There is no tests/test_sizes.py: write the rule's own tests.",
            id="no tests",
        ),
        pytest.param(
            "README.md",
            "| [`sizes`](sizes/app.py) | No volume is too large. |\n",
            "",
            "README.md has no link to sizes/app.py: add a row to the table of rules.",
            id="no link in the README",
        ),
        pytest.param(
            "README.md",
            "| [`sizes`]",
            "| [`other`](other/app.py) | Something else. |\n| [`sizes`]",
            "README.md: remove the row of other/app.py, which does not exist.",
            id="a link to a rule that was removed",
        ),
        pytest.param(
            "README.md",
            "GiB that",
            "Size that",
            "README.md: correct the rows of ['Limit'] to what template.yaml says of them.",
            id="another description in the README",
        ),
        pytest.param(
            "README.md",
            "| `Owner` | empty | Whom to ask about a large volume. |\n",
            "",
            "README.md: correct the rows of ['Owner'] to what template.yaml says of them.",
            id="no row in the README",
        ),
        pytest.param(
            "README.md",
            "| `Limit` | `3` | GiB that a volume may have. |\n"
            "| `Frequency` | `One_Hour` | How often the volumes are counted. |\n",
            "| `Frequency` | `One_Hour` | How often the volumes are counted. |\n"
            "| `Limit` | `3` | GiB that a volume may have. |\n",
            "README.md: put the parameters' rows in the order of template.yaml.",
            id="another order in the README",
        ),
        pytest.param(
            "pyproject.toml",
            "2.1.0",
            "2.2.0",
            "template.yaml: the output Version must be 2.2.0, the version in pyproject.toml, not "
            "2.1.0.",
            id="another version",
        ),
        # The template
        pytest.param(
            TEMPLATE,
            '    AllowedPattern: "[a-z]*"\n',
            "",
            "template.yaml: Owner accepts a value with a blank, where SAM CLI would cut it: give "
            "it an AllowedPattern without one.",
            id="a pattern that accepts blanks",
        ),
        pytest.param(
            TEMPLATE,
            "owner: !If [HasOwner, !Ref Owner, !Ref AWS::NoValue]",
            "owner: nobody",
            "template.yaml: nothing uses the condition HasOwner: use it, or remove it.",
            id="a condition that nothing uses",
        ),
        pytest.param(
            TEMPLATE,
            "limit: !Ref Limit",
            'limit: "3"',
            "template.yaml: nothing uses the parameter Limit: use it, or remove it.",
            id="a parameter that nothing uses",
        ),
        pytest.param(
            TEMPLATE,
            "Counts the volumes of an account",
            "Checks the size of a volume",
            "template.yaml: VolumesFunction has the Description of SizesFunction: say what the "
            "rule is about.",
            id="the description of another function",
        ),
        pytest.param(
            TEMPLATE,
            "The account has few volumes",
            "No volume is too large",
            "template.yaml: VolumesRule has the Description of SizesRule: say what the rule is "
            "about.",
            id="the description of another rule",
        ),
        pytest.param(
            TEMPLATE,
            "  VolumesRuleName:",
            "  VolumesRuleName:\n    Value: 1\n  VolumesRuleName:",
            "template.yaml: VolumesRuleName is there 2 times: rename or remove one.",
            id="an output that is there twice",
        ),
        pytest.param(
            TEMPLATE,
            "!Ref VolumesRule",
            "!Ref Volumes",
            "template.yaml: the output VolumesRuleName is of no resource: correct or remove it.",
            id="an output of nothing",
        ),
        pytest.param(
            TEMPLATE,
            "CodeUri: sizes/",
            "CodeUri: volumes/",
            "template.yaml has no function with CodeUri: sizes/: add one, or move the folder.",
            id="the code of another rule",
        ),
        pytest.param(
            TEMPLATE,
            "SourceIdentifier: !GetAtt SizesFunction.Arn",
            "SourceIdentifier: !GetAtt VolumesFunction.Arn",
            f"{RULE} needs Owner: CUSTOM_LAMBDA and SourceIdentifier: !GetAtt SizesFunction.Arn.",
            id="a rule with the function of another",
        ),
        pytest.param(
            TEMPLATE,
            "Owner: CUSTOM_LAMBDA",
            "Owner: AWS",
            f"{RULE} needs Owner: CUSTOM_LAMBDA and SourceIdentifier: !GetAtt SizesFunction.Arn.",
            id="a rule of AWS's",
        ),
        pytest.param(
            TEMPLATE,
            "FunctionName: !GetAtt SizesFunction.Arn",
            "FunctionName: !GetAtt VolumesFunction.Arn",
            f"{PERMISSION} needs Action: lambda:InvokeFunction and FunctionName: !GetAtt "
            "SizesFunction.Arn.",
            id="a permission for the function of another",
        ),
        pytest.param(
            TEMPLATE,
            "Action: lambda:InvokeFunction",
            "Action: lambda:*",
            f"{PERMISSION} needs Action: lambda:InvokeFunction and FunctionName: !GetAtt "
            "SizesFunction.Arn.",
            id="a permission for every action",
        ),
        pytest.param(
            TEMPLATE,
            "      SourceAccount: !Ref AWS::AccountId\n",
            "",
            f"{PERMISSION} needs Principal: config.amazonaws.com and SourceAccount: "
            "!Ref AWS::AccountId, or others may invoke the function.",
            id="a permission for every account",
        ),
        pytest.param(
            TEMPLATE,
            "Principal: config.amazonaws.com",
            'Principal: "*"',
            f"{PERMISSION} needs Principal: config.amazonaws.com and SourceAccount: "
            "!Ref AWS::AccountId, or others may invoke the function.",
            id="a permission for everybody",
        ),
        pytest.param(
            TEMPLATE,
            "DependsOn: [SizesPermission, SizesFunctionEventInvokeConfig]",
            "DependsOn: SizesPermission",
            f"{RULE} needs DependsOn: [SizesPermission, SizesFunctionEventInvokeConfig].",
            id="a rule that does not wait",
        ),
        pytest.param(
            TEMPLATE,
            "MessageType: OversizedConfigurationItemChangeNotification",
            "MessageType: ConfigurationItemChangeNotification",
            f"{RULE} needs the MessageTypes {CHANGE} and Oversized{CHANGE}, or "
            "ScheduledNotification.",
            id="a trigger without oversized notifications",
        ),
        pytest.param(
            TEMPLATE,
            "      Scope: { ComplianceResourceTypes: [AWS::EC2::Volume] }\n",
            "",
            f"{RULE} needs a Scope, or every type of resource invokes it.",
            id="no scope",
        ),
        pytest.param(
            TEMPLATE,
            "InputParameters: { atMost: 2 }",
            "InputParameters: { atMost: 2 }\n      Scope: { TagKey: x }",
            "template.yaml: VolumesRule is periodic: remove its Scope.",
            id="a periodic rule with a scope",
        ),
        pytest.param(
            TEMPLATE,
            "            MessageType: ScheduledNotification",
            f"            MessageType: {CHANGE}\n          - MessageType: ScheduledNotification",
            "template.yaml: VolumesRule is periodic: leave one MessageType in its SourceDetails.",
            id="a periodic rule that changes trigger, too",
        ),
        pytest.param(
            TEMPLATE,
            "ConfigRuleName: !Sub ${RuleNamePrefix}volumes",
            "ConfigRuleName: config-rules-sizes",
            "template.yaml: VolumesRule has the ConfigRuleName of SizesRule, config-rules-sizes: "
            "give it another.",
            id="the name of another rule",
        ),
        # Sample events
        pytest.param(
            "events/volumes",
            "",
            None,
            "There is no event in events/volumes/: write one for each result.",
            id="no event",
        ),
        pytest.param(
            EVENT,
            '"ruleParameters": {',
            '"ruleParameters": 3, "other": {',
            f"{EVENT}: ruleParameters must be an object, or a string that holds one as JSON: "
            "correct it.",
            id="parameters that are a number",
        ),
        pytest.param(
            EVENT,
            '"invokingEvent": {',
            '"invokingEvent": "[]", "other": {',
            f"{EVENT}: invokingEvent must be an object, or a string that holds one as JSON: "
            "correct it.",
            id="an invoking event that is a list",
        ),
        pytest.param(
            EVENT,
            "ItemChange",
            "",
            f"{EVENT}: messageType must be one of ['{CHANGE}', 'Oversized{CHANGE}'], as in "
            "template.yaml.",
            id="another message type",
        ),
        pytest.param(
            EVENT,
            "TESTMODE",
            "real",
            f"{EVENT}: resultToken must be TESTMODE, a dry run.",
            id="a token that is no dry run",
        ),
        pytest.param(
            EVENT,
            '"unit": "GiB"',
            '"units": "GiB"',
            f"{EVENT}: ruleParameters must have limit, unit, and may have owner besides: the "
            "InputParameters of template.yaml.",
            id="another parameter",
        ),
        pytest.param(
            EVENT,
            "AWS::EC2::Volume",
            "AWS::EC2::Instance",
            f"{EVENT}: resourceType must be one of ['AWS::EC2::Volume'], the scope in "
            "template.yaml.",
            id="a resource out of scope",
        ),
        pytest.param(
            EVENT,
            '"configRuleName": "config-rules-sizes"',
            '"configRuleName": "sizes"',
            f"{EVENT}: configRuleName must be config-rules-sizes, the ConfigRuleName in "
            "template.yaml.",
            id="the name of another rule in an event",
        ),
        pytest.param(
            "events/sizes/state.py",
            "",
            "1 / 0",
            "events/sizes/state.py: ZeroDivisionError: division by zero: correct it.",
            id="a state that cannot be created",
        ),
        pytest.param(
            APP,
            'item["configuration"]["size"]',
            'item["configuration"]["sizes"]',
            "events/sizes/large.json, oversized.json, small.json: correct the event or "
            "sizes/app.py: KeyError: 'sizes'.",
            id="a rule that fails",
        ),
        pytest.param(
            APP,
            '"COMPLIANT" if',
            '"NON_COMPLIANT" if',
            "events/sizes/ has no event that is COMPLIANT: add one, or correct sizes/app.py.",
            id="no event that is compliant",
        ),
        pytest.param(
            APP,
            'else "NON_COMPLIANT"',
            'else "COMPLIANT"',
            "events/sizes/ has no event that is NON_COMPLIANT: add one, or correct sizes/app.py.",
            id="no event that is not compliant",
        ),
        pytest.param(
            "events/sizes/deleted.json",
            "",
            None,
            "events/sizes/ has no event that is NOT_APPLICABLE: add one, or correct sizes/app.py.",
            id="no event that is not applicable",
        ),
        pytest.param(
            "events/sizes/oversized.json",
            "",
            None,
            f"events/sizes/ has no Oversized{CHANGE}: add one.",
            id="no oversized notification",
        ),
        pytest.param(
            APP,
            '        "Annotation": annotation,\n',
            "",
            "sizes/app.py reports without an annotation: say why in a sentence.",
            id="no annotation",
        ),
        pytest.param(
            "volumes/app.py",
            '"AWS::::Account", event',
            '"AWS::Account", event',
            "volumes/app.py reports AWS::Account, which is no resource type of AWS Config: "
            "correct it.",
            id="a resource type that is unknown",
        ),
    ],
)
def test_problem_is_a_sentence_with_its_remedy(
    name: str, old: str, new: str | None, problem: str, project: Project
) -> None:
    if new is None:
        remove(project.root / name)
    else:
        project.replace(name, old, new)
    assert problem in find_problems(project)


def remove(path: Path) -> None:
    for each in [*path.glob("*"), path]:
        each.rmdir() if each.is_dir() else each.unlink()


def test_name_that_aws_chooses_is_not_compared(project: Project) -> None:
    for name in ("sizes", "volumes"):
        project.replace(TEMPLATE, f"      ConfigRuleName: !Sub ${{RuleNamePrefix}}{name}\n", "")
    unused = "template.yaml: nothing uses the parameter RuleNamePrefix: use it, or remove it."
    assert list(find_problems(project)) == [unused]
