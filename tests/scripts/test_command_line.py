"""How every command ends."""

import pytest

from scripts.command_line import run_command


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("RULE must be a rule."), "python -m x: RULE must be a rule."),
        (FileNotFoundError(2, "No such file", "a.json"), "python -m x: a.json: No such file."),
        (BlockingIOError("no file is named"), "python -m x: no file is named"),
    ],
    ids=["a bad value", "a missing file", "any other"],
)
def test_error_is_one_sentence(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the tests' own signals stay

    def fail() -> int:
        raise error

    with pytest.raises(SystemExit) as caught:
        run_command("python -m x", fail)
    assert caught.value.code == said
