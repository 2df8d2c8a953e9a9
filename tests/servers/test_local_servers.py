import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from deploy.local.mongodb import MongoDB
from deploy.local.ports import choose_port, listeners
from deploy.local.process import Identity, descendants, identify, wait_for
from deploy.local.rabbitmq import Epmd, RabbitMQ
from deploy.local.server import ServerError

LOOPBACK = {"0100007F", "00000000000000000000000001000000"}  # 127.0.0.1 and ::1


@pytest.fixture
def rabbitmq(tmp_path: Path) -> Iterator[RabbitMQ]:
    server = RabbitMQ(tmp_path / "rabbitmq")
    yield server
    server.kill()


@pytest.fixture
def mongodb(tmp_path: Path) -> Iterator[MongoDB]:
    server = MongoDB(tmp_path / "mongodb")
    yield server
    server.kill()


def family() -> list[Identity]:
    return descendants(os.getpid())


@pytest.fixture
def others() -> list[Identity]:
    """What other tests' servers run already, to be left out of the count."""
    return family()


def started_since(others: list[Identity]) -> list[Identity]:
    return [process for process in family() if process not in others]


def program(process: Identity) -> str:
    return Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")[0].rpartition("/")[2]


def count_documents(database: MongoDB) -> int:
    with MongoClient[dict[str, object]](database.url) as client:
        return client.test.kept.count_documents({})


def insert_document(database: MongoDB) -> None:
    with MongoClient[dict[str, object]](database.url) as client:
        client.test.kept.insert_one({})


def test_everything_listens_on_loopback_and_nothing_is_left_after_stop(
    rabbitmq: RabbitMQ, mongodb: MongoDB, others: list[Identity]
) -> None:
    mongodb.start()
    rabbitmq.start()
    started = started_since(others)
    assert {"mongod", "epmd", "beam.smp"} <= {program(process) for process in started}
    addresses = {address for process in started for address, _ in listeners(process.pid)}
    assert addresses <= LOOPBACK

    rabbitmq.stop()
    mongodb.stop()
    assert [program(process) for process in started if process.is_alive()] == []


def test_a_killed_rabbitmq_comes_back_on_its_port_with_its_data(
    rabbitmq: RabbitMQ, others: list[Identity]
) -> None:
    rabbitmq.start()
    url = rabbitmq.url
    started = started_since(others)
    rabbitmq.control("add_vhost", "kept")

    rabbitmq.kill()
    assert not any(process.is_alive() for process in started)

    rabbitmq.start()
    assert rabbitmq.url == url
    assert "kept" in rabbitmq.control("list_vhosts").split()


def test_a_killed_mongodb_comes_back_on_its_port_with_its_data(mongodb: MongoDB) -> None:
    mongodb.start()
    url = mongodb.url
    insert_document(mongodb)

    mongodb.kill()
    assert not mongodb.is_alive()

    mongodb.start()
    assert mongodb.url == url
    assert count_documents(mongodb) == 1


def test_a_mongodb_made_on_another_port_still_elects_a_primary(tmp_path: Path) -> None:
    first = MongoDB(tmp_path, port=choose_port())
    first.start()
    insert_document(first)
    first.stop()

    moved = MongoDB(tmp_path, port=choose_port())
    try:
        moved.start()
        assert moved.url != first.url
        assert count_documents(moved) == 1
    finally:
        moved.kill()


def test_three_members_elect_another_primary_when_theirs_is_killed(tmp_path: Path) -> None:
    database = MongoDB(tmp_path, members=3, cache_gb=0.25)
    try:
        database.start()
        insert_document(database)
        first = database.primary()
        assert first

        first.kill()
        database.await_primary()
        assert count_documents(database) == 1
        first.start()
        assert database.is_alive()
    finally:
        database.kill()


def test_two_nodes_form_a_cluster(tmp_path: Path) -> None:
    epmd = Epmd(tmp_path / "erlang")
    nodes = [RabbitMQ(tmp_path / name, name=name, epmd=epmd) for name in ("rabbit-1", "rabbit-2")]
    try:
        epmd.start()
        for node in nodes:
            node.launch()
        for node in nodes:
            node.await_ready()
        nodes[1].join(nodes[0])
        status = nodes[0].control("cluster_status", "--formatter", "json")
        assert all(node.node_name in status for node in nodes)
    finally:
        for node in nodes:
            node.kill()
        epmd.kill()


def test_two_of_each_run_side_by_side(tmp_path: Path) -> None:
    pairs = [
        (RabbitMQ(tmp_path / f"rabbitmq-{number}"), MongoDB(tmp_path / f"mongodb-{number}"))
        for number in range(2)
    ]
    servers = [server for pair in pairs for server in pair]
    try:
        for server in servers:
            server.launch()
        for server in servers:
            server.await_ready()
        assert len({server.url for server in servers}) == len(servers)
    finally:
        for server in servers:
            server.kill()


def test_a_port_taken_after_it_was_chosen_is_replaced(mongodb: MongoDB) -> None:
    chosen = mongodb.members[0].port
    with socket.create_server(("127.0.0.1", chosen)):
        mongodb.start()
        assert mongodb.members[0].port != chosen


def test_a_fixed_port_that_is_taken_is_an_error_that_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        database = MongoDB(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(
            ServerError, match=r"mongod found its port taken: .*Address already in use"
        ):
            database.start()
    assert not database.is_alive()


def test_another_process_can_stop_a_server_by_its_folder(tmp_path: Path) -> None:
    MongoDB(tmp_path).start(outlive_parent=True)
    same = MongoDB(tmp_path)
    assert same.is_alive()
    with pytest.raises(ServerError, match="runs already"):
        same.members[0].start()

    same.stop()
    assert not same.is_alive()
    assert list(tmp_path.rglob("*.pid.json")) == []


def test_a_pid_file_that_names_a_reused_pid_stops_nobody(mongodb: MongoDB) -> None:
    mine = identify(os.getpid())
    assert mine
    pid_file = mongodb.members[0].folder / "mongod.pid.json"
    pid_file.write_text(f'{{"pid": {mine.pid}, "started_ticks": {mine.started_ticks - 1}}}')
    assert not mongodb.is_alive()

    mongodb.stop()
    assert mine.is_alive()


def test_servers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib, time\n"
        "from deploy.local.mongodb import MongoDB\n"
        "MongoDB(pathlib.Path(sys.argv[1])).start()\n"
        "print('started', flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"started\n"
        database = MongoDB(tmp_path)
        assert database.is_alive()
        parent.send_signal(signal.SIGKILL)
    assert wait_for(lambda: not database.is_alive(), deadline_s=10)
