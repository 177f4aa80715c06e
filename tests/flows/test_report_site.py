"""The page of reports hears of MLflow's aliases: what MLflow signs is taken, all else is not."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from mlflow.webhooks.constants import (
    WEBHOOK_DELIVERY_ID_HEADER,
    WEBHOOK_SIGNATURE_HEADER,
    WEBHOOK_TIMESTAMP_HEADER,
)
from mlflow.webhooks.delivery import _generate_hmac_signature
from mlflow.webhooks.types import ModelVersionAliasCreatedPayload
from starlette.testclient import TestClient

from flows.report_site import HOOK, make_site

SECRET = "of the test"


class Site:
    def __init__(self, folder: Path) -> None:
        self.heeded = 0
        self.client = TestClient(make_site(folder, SECRET, self._heed), "http://127.0.0.1")

    def _heed(self) -> None:
        self.heeded += 1

    def post(self, event: dict[str, object], *, secret: str = SECRET, age_s: float = 0) -> int:
        body, at = json.dumps(event), str(int(time.time() - age_s))
        headers = {
            WEBHOOK_DELIVERY_ID_HEADER: "one",
            WEBHOOK_TIMESTAMP_HEADER: at,
            WEBHOOK_SIGNATURE_HEADER: _generate_hmac_signature(secret, "one", at, body),
        }
        return self.client.post(HOOK, content=body, headers=headers).status_code


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def event(alias: str = "champion", action: str = "created") -> dict[str, object]:
    data = ModelVersionAliasCreatedPayload(name="flywheel-release", alias=alias, version="2")
    return {"entity": "model_version_alias", "action": action, "timestamp": "t", "data": data}


def test_what_mlflow_signs_is_heeded(site: Site):
    assert site.post(event()) == 202
    assert site.heeded == 1


def test_another_secret_an_old_delivery_and_a_changed_body_are_not(site: Site):
    assert site.post(event(), secret="another") == 401
    assert site.post(event(), age_s=3600) == 401
    assert site.post(event(), age_s=-3600) == 401
    assert site.client.post(HOOK, content=b"{}").status_code == 401
    assert site.client.post(HOOK, content=b"x" * 100_000).status_code == 413
    assert site.heeded == 0


def test_other_events_are_answered_and_left(site: Site):
    assert site.post(event("previous")) == 204
    assert site.post(event(action="deleted")) == 204
    assert site.post({"entity": "prompt", "action": "created", "data": {}}) == 204
    assert site.post({"entity": "model_version_alias", "action": "created", "data": []}) == 204
    assert site.heeded == 0


def test_without_a_secret_nothing_is_heard_and_nothing_is_ever_written(tmp_path: Path):
    client = TestClient(make_site(tmp_path), "http://127.0.0.1")
    assert client.post(HOOK, content=b"{}").status_code == 405
    (tmp_path / "index.html").write_text("all reports")
    assert client.get("/").text == "all reports"
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
