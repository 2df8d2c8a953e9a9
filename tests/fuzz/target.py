"""`python -m tests.fuzz.target NAME FOLDER SECONDS`: fuzz one target until it is broken or late.

What breaks a law is left in FOLDER as `crash-…`, what takes too long as `timeout-…`, what takes
too much memory as `oom-…`.
"""

import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ingest", "worker"]):
    from tests.fuzz.laws import LAWS
    from tests.fuzz.mutation import MUTATIONS
    from tests.fuzz.seeds import dictionary, seeds

# For one input, whose parsing takes milliseconds.
_TIMEOUT_S = 20
_MAX_MIB = 1024
_MAX_BYTES = 16 * 1024


def main() -> None:
    """Fuzz. Does not return: the fuzzer ends the process."""
    name, folder, seconds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    corpus, first = folder / "corpus", folder / "seeds"
    for path in (corpus, first):
        path.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (first / f"{number:04}").write_bytes(seed)
    words = folder / "dictionary"
    words.write_text(dictionary())
    change = MUTATIONS[name]

    def mutate(sent: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)  # noqa: S311 - needs no secrecy, but repetition
        return change(bytes(sent), rng, lambda plain: atheris.Mutate(plain, max_size))[:max_size]

    arguments = [
        sys.argv[0],
        str(corpus),
        str(first),
        f"-dict={words}",
        f"-artifact_prefix={folder}/",
        f"-max_total_time={seconds}",
        f"-timeout={_TIMEOUT_S}",
        f"-rss_limit_mb={_MAX_MIB}",
        f"-max_len={_MAX_BYTES}",
        "-len_control=0",
        "-print_final_stats=1",
    ]
    atheris.Setup(arguments, LAWS[name], custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
