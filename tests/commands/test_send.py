"""`send`: what a gateway accepts is stored as it was meant, and the exit code says what it did."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.commands.command import GROUP, Scripted, ScriptedServer, lines, point, query, send
from tests.harness.client import EXAMPLE, Client
from tests.harness.commands import (
    COLUMNS,
    Done,
    run_in_pipe,
    run_in_shell,
    run_on_terminal,
    started,
    visible,
)
from tests.harness.services import Gateway


async def sent(gateway: Gateway, content: bytes, *arguments: str, **variables: str) -> Done:
    command = send(gateway.url, **variables)
    return await run_in_pipe(command, "-", *arguments, given=content)


async def stored(gateway: Gateway, execution_id: str) -> dict[str, Any]:
    async with Client(gateway.url, resource_group=GROUP) as client:
        return await client.resource(execution_id)


async def test_json_lines_are_sent_and_stored(gateway: Gateway, execution_id: str) -> None:
    updates = [point(execution_id, step, step / 8) for step in range(2500)]
    done = await sent(gateway, lines(*updates, {"executionId": execution_id, "tags": [
        {"name": "model", "value": "x"},
    ]}))  # fmt: skip
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("2,501 of 2,501 updates accepted in ")
    assert int(done.out.split()[-2]) < 50  # requests
    resource = await stored(gateway, execution_id)
    assert [one["value"] for one in resource["metrics"]] == [step / 8 for step in range(2500)]
    assert resource["tags"] == [{"name": "model", "value": "x"}]


async def test_a_file_with_one_document_is_sent(
    gateway: Gateway, execution_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "example.json"
    file.write_text(json.dumps(EXAMPLE | {"executionId": execution_id}, indent=2))
    done = await run_in_pipe(send(gateway.url), str(file))
    assert (done.code, done.out) == (0, "1 of 1 updates accepted in 1 requests\n")
    resource = await stored(gateway, execution_id)
    assert {name: resource[name] for name in EXAMPLE} == EXAMPLE | {"executionId": execution_id}


async def test_what_query_prints_can_be_sent_again(gateway: Gateway, execution_id: str) -> None:
    await sent(gateway, lines(*(point(execution_id, step) for step in range(1500))))
    found = await run_in_pipe(query(gateway.url), execution_id)
    done = await sent(gateway, found.out.encode(), INGEST_RESOURCE_GROUP="commands-copy")
    assert done.code == 0, done.err
    async with Client(gateway.url, resource_group="commands-copy") as client:
        copy = await client.resource(execution_id)
    (resource,) = json.loads(found.out)["resources"]
    assert [copy[name] for name in ("metrics", "tags")] == [
        resource[name] for name in ("metrics", "tags")
    ]


async def test_the_later_value_stands_whatever_shares_a_request(
    gateway: Gateway, execution_id: str
) -> None:
    at = {"timestamp": "2026-01-01T00:00:00.000Z"}
    updates = [point(execution_id, number % 7, number, **at) for number in range(3000)]
    updates += [
        {"executionId": execution_id, "tags": [{"name": "n", "value": str(n)}]} for n in range(500)
    ]
    done = await sent(gateway, lines(*updates), "--connections", "16")
    assert done.code == 0
    resource = await stored(gateway, execution_id)
    last = {number % 7: number for number in range(3000)}
    assert {one["step"]: one["value"] for one in resource["metrics"]} == last
    assert resource["tags"] == [{"name": "n", "value": "499"}]


async def test_points_without_a_timestamp_stay_apart(gateway: Gateway, execution_id: str) -> None:
    updates = [
        {"executionId": execution_id, "metrics": [{"name": "loss", "value": number}]}
        for number in range(300)
    ]
    assert (await sent(gateway, lines(*updates))).code == 0
    resource = await stored(gateway, execution_id)
    assert sorted(one["value"] for one in resource["metrics"]) == list(range(300))


async def test_what_is_refused_is_named_and_the_rest_is_accepted(
    gateway: Gateway, execution_id: str
) -> None:
    updates = [point(execution_id, step) for step in range(200)]
    updates[17] = point(execution_id, 17, "high")  # type: ignore[arg-type]
    updates[93] = updates[93] | {"metric": []}
    updates[150] = {"executionId": execution_id, "tags": [{"name": "", "value": "v"}]}
    content = lines(*updates) + b"{not JSON\n" + lines({"metrics": []})
    done = await sent(gateway, content)
    assert done.code == 3
    assert "197 of 202 updates accepted in " in done.out
    assert done.out.endswith(", 5 refused\n")
    said = done.err.splitlines()
    assert [line for line in said if line.startswith(("line 201", "line 202"))] == [
        next(line for line in said if line.startswith("line 201: the body is not JSON")),
        "line 202: status 400, 02011002: The specification of the resource was incorrect.",
    ]
    for place, detail in (
        ("line 18:", '  /metrics/0/value: must be a number, but is "high"'),
        ("line 94:", '  (body): unknown field "metric"'),
        ("line 151:", "  /tags/0/name: is empty"),
        ("line 202:", '  (body): "executionId" is missing'),
    ):
        number = next(n for n, line in enumerate(said) if line.startswith(place))
        assert said[number + 1] == detail
    steps = {one["step"] for one in (await stored(gateway, execution_id))["metrics"]}
    assert steps == set(range(200)) - {17, 93, 150}


async def test_a_refusal_of_any_length_is_told_from_another_server_s(
    gateway: Gateway, execution_id: str
) -> None:
    wrong = {"executionId": execution_id, "metrics": [{"name": "n" * 300, "value": "high"}] * 900}
    done = await sent(gateway, lines(point(execution_id, 1), wrong, point(execution_id, 2)))
    assert done.code == 3
    assert "2 of 3 updates accepted in " in done.out
    assert done.err.startswith("line 2: status 400, 02011002: ")


async def test_what_is_nested_too_deeply_is_refused_alone(
    gateway: Gateway, execution_id: str
) -> None:
    deep = {"executionId": execution_id, "metrics": json.loads("[" * 300 + "]" * 300)}
    done = await sent(gateway, lines(deep, point(execution_id, 1)))
    assert done.code == 3
    assert "1 of 2 updates accepted in " in done.out
    assert done.err == "line 1: is nested more deeply than any MetricResource\n"


async def test_an_input_that_cannot_be_read_to_its_end_is_a_failure(gateway: Gateway) -> None:
    done = await run_in_pipe(send(gateway.url), "/proc/self/mem")
    assert (done.code, done.err) == (1, "Failed: cannot read on: Input/output error\n")
    done = await run_in_shell('"$@" <&-', send(gateway.url), "-")
    assert done.code == 2
    assert done.err.endswith("there is no stdin to read\n")


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", "| true"])
async def test_what_becomes_of_its_words_changes_nothing(
    gateway: Gateway, execution_id: str, tmp_path: Path, redirection: str
) -> None:
    file = tmp_path / "run.jsonl"
    file.write_bytes(lines(point(execution_id, 1)))
    script = f'{{ "$@"; echo "$?" >&3; }} 3>&2 {redirection}'
    done = await run_in_shell(script, send(gateway.url), str(file))
    assert done.err == "0\n"
    assert len((await stored(gateway, execution_id))["metrics"]) == 1


async def test_of_many_refusals_the_first_are_shown(gateway: Gateway) -> None:
    done = await sent(gateway, lines(*({"executionId": "x"} for _ in range(100))))
    assert done.code == 3
    assert done.out.startswith("0 of 100 updates accepted")
    assert done.err.count("\nline ") + 1 == 20
    assert done.err.endswith("further refusals are counted only\n")


@pytest.mark.parametrize("path", ["", "/", "/v2", "/v2/", "/v2/lm/metrics"])
async def test_the_url_may_be_the_gateway_s_or_that_of_its_api(path: str) -> None:
    with ScriptedServer() as server:
        done = await run_in_pipe(send(server.url + path), "-", given=lines(EXAMPLE))
        assert done.code == 0
        assert [one.path for one in server.requests] == ["/v2/lm/metrics"]


async def test_the_token_comes_from_the_environment_and_is_never_shown() -> None:
    token = "abc.def-_~+/0=="  # noqa: S105 - opens nothing
    for given in (token, f"Bearer {token}"):
        with ScriptedServer([Scripted(401)]) as server:
            command = send(server.url, INGEST_TOKEN=given)
            done = await run_in_pipe(command, "-", given=lines(EXAMPLE))
            (request,) = server.requests
        assert request.headers["Authorization"] == f"Bearer {token}"
        assert request.headers["AI-Resource-Group"] == GROUP
        assert "abc.def" not in done.out + done.err
    wrong = {"INGEST_TOKEN": "no token\x01"}
    done = await run_in_pipe(send("http://127.0.0.1:1", **wrong), "-", given=b"")
    assert done.code == 2
    assert "no token" not in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "FILE"),
        (["/no/such/file"], "cannot read /no/such/file: No such file"),
        (["/"], "cannot read /: Is a directory"),
        (["-", "--url", "host:8080"], "must look like http://host:port"),
        (["-", "--url", "http://host:99999"], "must look like http://host:port"),
        (["-", "--url", "http://host..example"], "must look like http://host:port"),
        (["-", "--url", "http://me:tellnobody@host"], "set INGEST_TOKEN instead"),
        (["-", "--resource-group", "no group"], "is not a resource group"),
        (["-", "--connections", "0"], "must be 1 to 64"),
        (["-", "--patience", "-1"], "must be a number of seconds"),
    ],
)
async def test_wrong_arguments_are_said_before_anything_is_sent(
    arguments: list[str], words: str
) -> None:
    done = await run_in_pipe(send("http://127.0.0.1:1"), *arguments)
    assert done.code == 2
    assert words in done.err
    assert "tellnobody" not in done.err


async def test_an_empty_input_is_no_failure(gateway: Gateway) -> None:
    done = await sent(gateway, b"\n")
    assert (done.code, done.out) == (0, "0 of 0 updates accepted in 0 requests\n")


async def test_a_line_is_sent_when_it_comes(gateway: Gateway, execution_id: str) -> None:
    async with started(send(gateway.url), "-", takes_input=True) as process:
        assert process.stdin is not None
        for step in range(3):
            process.stdin.write(lines(point(execution_id, step)))
            await process.stdin.drain()
            async with asyncio.timeout(30), Client(gateway.url, resource_group=GROUP) as client:
                while True:
                    answer = await client.query(executionIds=execution_id)
                    if answer.status == 200 and len(answer.json["resources"][0]["metrics"]) > step:
                        break
        process.stdin.close()
        async with asyncio.timeout(30):
            assert await process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_in_good_order(
    gateway: Gateway, execution_id: str, number: signal.Signals
) -> None:
    async with started(send(gateway.url), "-", takes_input=True) as process:
        assert process.stdin is not None
        process.stdin.write(lines(point(execution_id, 1)))
        await process.stdin.drain()
        async with asyncio.timeout(30), Client(gateway.url, resource_group=GROUP) as client:
            while (await client.query(executionIds=execution_id)).status != 200:
                pass
        process.send_signal(number)
        async with asyncio.timeout(30):
            out, err = await process.communicate()
    assert process.returncode == 130
    assert out == b"1 of 1 updates accepted in 1 requests\n"
    assert err == b""


async def test_a_terminal_gets_a_bar_and_a_pipe_plain_lines(
    gateway: Gateway, execution_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "run.jsonl"
    file.write_bytes(lines(*(point(execution_id, step) for step in range(20_000))))
    done = await run_on_terminal(send(gateway.url), str(file))
    assert done.code == 0
    assert "sending" in done.out
    assert f"/{file.stat().st_size / 1e6:.1f} MB" in done.out
    shown = visible(done.out)
    assert shown[-2].startswith("20,000 of 20,000 updates accepted in ")
    assert max(map(len, shown)) <= COLUMNS
