"""The example of the API's documentation, and the commands that send it and read it back."""

import shlex

PATH = "/v2/lm/metrics"
RESOURCE_GROUP = "default"
EXECUTION_ID = "aa97b177-9383-4934-8543-0f91a7a0283a"
BODY = (
    '{"executionId":"aa97b177-9383-4934-8543-0f91a7a0283a",'
    '"metrics":[{"name":"Error Rate","value":0.98,"timestamp":"2020-11-12T12:18:01.539Z",'
    '"step":2,"labels":[{"name":"group","value":"tree-82"},'
    '{"name":"metrics.ai.sap.com/Artifact.name","value":"my_model_name"}]}],'
    '"tags":[{"name":"Artifact Group","value":"RFC-1"}],'
    '"customInfo":[{"name":"Confusion Matrix","value":"['
    "{'Predicted': 'False', 'Actual': 'False', 'value': 34}, "
    "{'Predicted': 'False', 'Actual': 'True', 'value': 124}, "
    "{'Predicted': 'True', 'Actual': 'False', 'value': 165}, "
    "{'Predicted': 'True', 'Actual': 'True', 'value': 36}"
    ']"}]}'
)


def patch_command(url: str) -> str:
    """Return a shell command that sends the example; it prints the answer's status line, 204."""
    # shlex.quote's '"'"' for a quote would drown the body's own double quotes.
    quoted = "'" + BODY.replace("'", r"'\''") + "'"
    return (
        f"curl -i -X PATCH {shlex.quote(url + PATH)} -H 'AI-Resource-Group: {RESOURCE_GROUP}' "
        f"-H 'Content-Type: application/json' -d {quoted}"
    )


def get_command(url: str) -> str:
    """Return a shell command that reads the example back."""
    address = shlex.quote(f"{url}{PATH}?executionIds={EXECUTION_ID}")
    return f"curl {address} -H 'AI-Resource-Group: {RESOURCE_GROUP}'"
