"""What arrived of the lines of a log."""

import collections
import itertools
from collections.abc import Iterable

from tests.lib.processes import wait_until
from tests.lib.reading import read_topic


def arrived(bootstrap: str, topic: str = "logs", **settings: object) -> list[bytes]:
    """All values there are."""
    return [value for _, _, value in read_topic(bootstrap, topic, **settings)]


def wait_for_lines(bootstrap: str, lines: Iterable[bytes], topic: str = "logs", **settings: object) -> None:
    """Waits until as many arrived as there are lines; they must be these, each once."""
    wanted = sorted(lines)
    wait_until(lambda: len(arrived(bootstrap, topic, **settings)) >= len(wanted), f"{len(wanted)} lines in {topic}")
    found = sorted(arrived(bootstrap, topic, **settings))
    lost, invented = collections.Counter(wanted), collections.Counter(found)
    lost.subtract(found)
    invented.subtract(wanted)
    assert found == wanted, f"lost: {sample(lost)}; doubled or invented: {sample(invented)}"


def sample(counts: collections.Counter[bytes]) -> list[bytes]:
    return [line[:80] for line in itertools.islice((+counts).elements(), 5)]
