"""SAP's Python client with a token creator that gives real tokens."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from ai_api_client_sdk.exception import AIAPIAuthorizationException, AIAPIServerException
from ai_core_sdk.models import Metric
from ai_core_sdk.tracking import Tracking

from tests.auth.issuer import Issuer
from tests.harness.services import Gateway


def test_a_run_is_tracked_with_tokens(guarded: Gateway, issuer: Issuer, execution_id: str) -> None:
    group = f"sdk-{uuid4().hex}"

    def tracking(**claims: Any) -> Any:
        return Tracking(
            base_url=guarded.url,
            token_creator=lambda: f"Bearer {issuer.token('ec', **claims)}",
            resource_group=group,
        )

    mine = tracking(resource_groups=[group])
    metrics = [Metric("loss", 0.5, datetime(2026, 1, 2, tzinfo=UTC), 1)]
    mine.log_metrics(metrics, execution_id)
    (found,) = mine.query(execution_ids=[execution_id]).resources
    assert found.metrics == metrics

    with pytest.raises(AIAPIAuthorizationException) as expired:
        tracking(exp=1).log_metrics(metrics, execution_id)
    assert expired.value.status_code == 401
    with pytest.raises(AIAPIServerException) as foreign:
        tracking(resource_groups="other").query(execution_ids=[execution_id])
    assert foreign.value.status_code == 403
    assert foreign.value.error_code == "02011042"
    mine.delete(execution_id)
