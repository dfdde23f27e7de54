"""Who is killed when: a seed gives the same kills each time."""

import dataclasses
import random
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Kill:
    """One blow."""

    after_s: float
    """How long everything runs before."""
    victims: tuple[str, ...]
    """Who is killed, all at once."""
    down_s: float
    """How long they stay down."""
    asked_s: float | None = None
    """How long before they are asked to stop, if they are."""

    def __str__(self) -> str:
        asked = "" if self.asked_s is None else f", asked to stop {self.asked_s:.3f} s before"
        return f"after {self.after_s:.3f} s kill {' and '.join(self.victims)}{asked}, down for {self.down_s:.2f} s"


def schedule(seed: int, names: list[str]) -> Iterator[Kill]:
    """Without end. A third of the kills come so soon that the victims of the one before are still recovering; now and
    then comes a calm in which files roll and are flushed, which the next kill may interrupt. A quarter of the kills
    come in the middle of a stop in good order, or just after it."""
    source = random.Random(f"{seed} schedule")
    victims: tuple[str, ...] = ()
    while True:
        pace = source.choices(["recovering", "busy", "calm"], [30, 60, 10])[0]
        after_s = {"recovering": (0, 0.25), "busy": (0.2, 1.5), "calm": (4, 8)}[pace]
        if not victims or pace != "recovering" or source.random() < 0.4:
            count = min(len(names), source.choices([1, 2, 3], [8, 2, 1])[0])
            victims = tuple(sorted(source.sample(names, count)))
        asked_s = source.choice([source.uniform(0, 0.02), source.uniform(0, 0.3)]) if source.random() < 0.25 else None
        yield Kill(source.uniform(*after_s), victims, source.choice([0, 0, 0.05, 0.5, 2]), asked_s)
