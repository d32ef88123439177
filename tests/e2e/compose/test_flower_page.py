"""Flower as a person sees it: log in, look for the worker and for a task that is done."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.errors import SystemPackageError
from deploy.system import apt_install
from tests.e2e.compose import chromium
from tests.e2e.compose.chromium import Page
from tests.e2e.compose.deployment import Deployment
from tests.harness import Api, missing, wait_until

SHOWN_SECONDS = 60


@pytest.fixture(scope="module")
def browser() -> str:
    """The path of Chromium, installed if need be."""
    if chromium.find() is None:
        try:
            apt_install("chromium", why="pages are looked at in it", say=print)
        except SystemPackageError as error:
            missing(str(error))
    found = chromium.find()
    assert found is not None
    return found


@pytest.fixture
def page(browser: str, tmp_path: Path) -> Iterator[Page]:
    with chromium.chromium(browser, tmp_path / "profile") as opened:
        yield opened


def test_who_does_not_log_in_sees_nothing(page: Page, deployment: Deployment) -> None:
    page.go(deployment.flower)
    assert page.status == 401
    page.login = ("agentcore", "wrong")
    page.go(f"{deployment.flower}/workers")
    assert page.status == 401
    assert "worker-" not in page.text()


def test_who_logs_in_sees_the_worker_and_the_finished_task(
    page: Page, deployment: Deployment, published: Api
) -> None:
    execution = published.run("print('visible-nowhere')")
    page.login = ("agentcore", (deployment.secrets / "flower_password").read_text())

    def worker() -> bool:
        page.go(f"{deployment.flower}/workers")
        return "worker-1@" in page.text() and "Online" in page.text()

    def task() -> bool:
        page.go(f"{deployment.flower}/task/{execution['id']}")
        return "agentcore.execute" in page.text() and "SUCCESS" in page.text()

    wait_until(worker, SHOWN_SECONDS, "the worker in Flower")
    assert page.status == 200
    wait_until(task, SHOWN_SECONDS, "the task in Flower")
    assert execution["id"] in page.text()
    assert "visible-nowhere" not in page.text()
