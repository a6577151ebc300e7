"""The tests of the commands run on a project of two small rules, in place of the repository."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts import check, check_results, events, invocation, make_rule, template
from tests.scripts.helpers import Project

SMALL_PROJECT = Path(__file__).parent / "small_project"
collect_ignore = ["small_project"]  # its tests are not ours


@pytest.fixture
def work_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Project]]:
    """Return a function that puts a folder in place of the repository."""

    def put(root: Path) -> Project:
        for module in (template, invocation, events, check_results, make_rule, check):
            monkeypatch.setattr(module, "ROOT", root)
        template.load_template.cache_clear()
        return Project(root)

    yield put
    template.load_template.cache_clear()


@pytest.fixture
def project(tmp_path: Path, work_in: Callable[[Path], Project]) -> Project:
    """A copy of the small project, in place of the repository."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(SMALL_PROJECT, tmp_path, ignore=ignore, dirs_exist_ok=True)
    return work_in(tmp_path)
