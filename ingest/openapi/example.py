"""The example of the document that the API comes from ("Store Metric Data")."""

from typing import Any

EXAMPLE: dict[str, Any] = {
    "executionId": "aa97b177-9383-4934-8543-0f91a7a0283a",
    "metrics": [
        {
            "name": "Error Rate",
            "value": 0.98,
            "timestamp": "2020-11-12T12:18:01.539Z",
            "step": 2,
            "labels": [
                {"name": "group", "value": "tree-82"},
                {"name": "metrics.ai.sap.com/Artifact.name", "value": "my_model_name"},
            ],
        }
    ],
    "tags": [{"name": "Artifact Group", "value": "RFC-1"}],
    "customInfo": [
        {
            "name": "Confusion Matrix",
            "value": "[{'Predicted': 'False', 'Actual': 'False', 'value': 34}, "
            "{'Predicted': 'False', 'Actual': 'True', 'value': 124}, "
            "{'Predicted': 'True', 'Actual': 'False', 'value': 165}, "
            "{'Predicted': 'True', 'Actual': 'True', 'value': 36}]",
        }
    ],
}
EXECUTION_ID: str = EXAMPLE["executionId"]
RESOURCE_GROUP = "default"

# What a query returns once the example is stored.
STORED: dict[str, Any] = {
    "count": 1,
    "resources": [
        {
            "executionId": EXECUTION_ID,
            "createdAt": "2020-11-12T12:18:01.603417Z",
            "modifiedAt": "2020-11-12T12:18:01.603417Z",
            "metrics": EXAMPLE["metrics"],
            "tags": EXAMPLE["tags"],
            "customInfo": EXAMPLE["customInfo"],
        }
    ],
}
