"""Which images of docker-compose.yml are made or pulled, with the makers left out."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy import stackimages
from deploy.errors import ImageError
from deploy.stackimages import PARTS, SERVICES, ensure_images

REGISTRY = "AGENTCORE_REGISTRY_IMAGE"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was made; the registry cannot be had."""
    made: list[str] = []

    def obtain(_client: object, image: object, _say: object, kept: str) -> str:
        (name,) = [it for it in SERVICES if SERVICES[it] is image]
        if name == REGISTRY:
            raise ImageError("no registry")
        made.append(name)
        return kept or "made"

    monkeypatch.setattr(stackimages.docker, "from_env", lambda **_: SimpleNamespace(close=int))
    monkeypatch.setattr(stackimages.standins, "obtain", obtain)
    for part, name in (("sandbox", "ensure_sandbox_image"), ("service", "ensure_service_images")):
        result = {"sandbox": part, "service": {"runtime": part}}[part]

        def make(*_: object, part: str = part, result: object = result) -> object:
            made.append(part)
            return result

        monkeypatch.setattr(stackimages, name, make)
    return made


def test_what_people_bring_themselves_is_neither_made_nor_pulled(
    made: list[str], tmp_path: Path
) -> None:
    asked = {"AGENTCORE_IMAGE", "AGENTCORE_SANDBOX_IMAGE", "AGENTCORE_REDIS_IMAGE", REGISTRY}
    assert ensure_images(PARTS, tmp_path, asked=asked) == {"AGENTCORE_POSTGRES_IMAGE": "made"}
    assert made == ["AGENTCORE_POSTGRES_IMAGE"]


def test_the_registry_may_be_missing_where_it_is_not_needed(
    made: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ImageError):
        ensure_images(["services"], tmp_path)
    images = ensure_images(PARTS, tmp_path, spare=[REGISTRY])
    assert REGISTRY not in images
    assert images["sandbox"] == "sandbox"
    assert {"sandbox", "service"} < set(made)


def test_stand_ins_of_before_are_named_to_who_makes_them(made: list[str], tmp_path: Path) -> None:
    kept = {"AGENTCORE_POSTGRES_IMAGE": "older"}
    images = ensure_images(["services"], tmp_path, kept=kept, spare=[REGISTRY])
    assert images == {"AGENTCORE_POSTGRES_IMAGE": "older", "AGENTCORE_REDIS_IMAGE": "made"}
