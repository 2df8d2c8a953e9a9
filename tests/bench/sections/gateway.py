"""The gateway alone, without workers, against what its parts could do alone.

For each size of body, in rounds one after the other: a handler that reads and answers, one that
also parses and validates, the gateway, and a raw publish of the very messages that the gateway put
on the queue, with as many in flight. The queue is emptied between the rounds, so it stays small.

The gateway shares the cores with the broker and the generator, a handler with the generator alone.
So the CPU that their own processes take for an update is compared as well.
"""

from dataclasses import dataclass, field

from ingest.settings import GatewaySettings
from tests.bench.bodies import Mix
from tests.bench.ceilings import count_entries, publish, purge, take_messages
from tests.bench.programs import Program
from tests.bench.rig import BenchError, Rig, accepted, default_of, pid_of, run
from tests.bench.usage import cpu_s
from tests.harness.services import Gateway, Site

TITLE = "Gateway alone, updates accepted"
MIXES = (Mix(1), Mix(10), Mix(100), Mix(1000))
_ROUND_S = 3.0
_ROUNDS = 3
_MAX_MESSAGES_BYTES = 64_000_000


@dataclass(slots=True)
class _Rates:
    """Updates per second of each round."""

    bare: list[float] = field(default_factory=list)
    validating: list[float] = field(default_factory=list)
    gateway: list[float] = field(default_factory=list)
    published: list[float] = field(default_factory=list)
    entries: list[float] = field(default_factory=list)
    # Microseconds of CPU for each update.
    validating_cpu: list[float] = field(default_factory=list)
    gateway_cpu: list[float] = field(default_factory=list)


def measure(rig: Rig) -> None:
    """Measure all sizes."""
    with (
        rig.site("gateway") as site,
        rig.handler("bare", site) as bare,
        rig.handler("validating", site) as validating,
    ):
        gateway = site.gateway()
        gateway.start()
        for mix in MIXES:
            for url in (bare.url, validating.url, f"{gateway.url}/lm/metrics"):
                rig.warm_up(url, mix)
            rates = _Rates()
            rounds = rig.rounds(_ROUNDS)
            for number in range(rounds):
                rig.say(f"gateway: {mix}, round {number + 1} of {rounds}")
                _measure_round(rig, mix, (bare, validating), gateway, rates, site)
            _report(rig, mix, rates)


def _measure_round(
    rig: Rig,
    mix: Mix,
    handlers: tuple[Program, Program],
    gateway: Gateway,
    rates: _Rates,
    site: Site,
) -> None:
    seconds = rig.seconds(_ROUND_S)
    bare, validating = handlers
    rates.bare.append(rig.loaded(bare.url, mix, seconds).rate)
    used_s = cpu_s(validating.pid)
    result = rig.loaded(validating.url, mix, seconds)
    rates.validating.append(result.rate)
    rates.validating_cpu.append(1e6 * (cpu_s(validating.pid) - used_s) / result.requests)
    run(purge(site))
    before, used_s = accepted(gateway), cpu_s(pid_of(gateway))
    result = rig.loaded(f"{gateway.url}/lm/metrics", mix, seconds)
    used_s = cpu_s(pid_of(gateway)) - used_s
    messages = run(take_messages(site, _MAX_MESSAGES_BYTES))
    # Those in flight when the generator ended were accepted, too.
    new = accepted(gateway) - before
    if new < result.requests:
        raise BenchError("fewer updates were accepted than answered")
    rates.gateway.append(result.rate)
    rates.gateway_cpu.append(1e6 * used_s / new)
    entries = count_entries(messages)
    per_message = sum(entries) / len(entries)
    count, took_s = run(
        publish(site, messages, default_of(GatewaySettings, "max_messages_in_flight"), seconds)
    )
    run(purge(site))
    rates.published.append(count * per_message / took_s)
    rates.entries.append(per_message)


def _report(rig: Rig, mix: Mix, rates: _Rates) -> None:
    report, head = rig.report, f"gateway.{mix.key}"
    of = f"{mix}"
    report.add(f"{head}.bare", f"{of}: handler that reads and answers", "/s", rates.bare)
    report.add(f"{head}.validating", f"{of}: it also parses, validates", "/s", rates.validating)
    report.add(f"{head}.published", f"{of}: raw publish of its messages", "/s", rates.published)
    report.add(f"{head}.accepted", f"{of}: gateway", "/s", rates.gateway)
    report.add(f"{head}.entries", f"{of}: updates in a message", "", rates.entries)
    report.compare(f"{head}.of-bare", f"{of}: gateway ÷ reading", rates.gateway, rates.bare)
    what = f"{of}: gateway ÷ validating"
    report.compare(f"{head}.of-validating", what, rates.gateway, rates.validating)
    report.add(
        f"{head}.validating-cpu",
        f"{of}: CPU of the validating handler for each",
        "µs",
        rates.validating_cpu,
    )
    report.add(f"{head}.gateway-cpu", f"{of}: CPU of gateway for each", "µs", rates.gateway_cpu)
    what = f"{of}: CPU, validating ÷ gateway"
    report.compare(f"{head}.of-validating-cpu", what, rates.validating_cpu, rates.gateway_cpu)
    what = f"{of}: gateway ÷ raw publish"
    report.compare(f"{head}.of-published", what, rates.gateway, rates.published)
