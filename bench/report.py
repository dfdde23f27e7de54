"""The report: ratios with their spread, and everything needed to measure again."""

import dataclasses
import datetime
import os
import pathlib
import platform
import statistics
import subprocess

from machine import ROOT


MORE_IS_BETTER = ("rate", "taken", "read")


@dataclasses.dataclass
class Ratio:
    """Tailrace's figure over the yardstick's, of each round."""

    what: str
    yardstick: str
    values: list
    more_is_better: bool


class Section:
    """A table of one part."""

    def __init__(self, title, text):
        self.title = title
        self.text = text
        self.rows = []
        self.ratios = []
        self.skipped = []

    def ratio(self, what, yardstick, rounds, key, show):
        """A row of ours against a yardstick's; `rounds` are pairs that were measured one after the other."""
        ratios = [ours[key] / theirs[key] for ours, theirs in rounds]
        self.ratios.append(Ratio(what, yardstick, ratios, key in MORE_IS_BETTER))
        ours, theirs = (statistics.median(pair[side][key] for pair in rounds) for side in (0, 1))
        self.rows.append((what, show(ours), f"{yardstick}: {show(theirs)}", f"**{spread(ratios, '{:.2f}'.format)}**"))

    def value(self, what, values, show):
        """A row without a yardstick."""
        self.rows.append((what, spread(values, show), "", ""))

    def percentiles(self, what, rounds):
        for name, key in (("median", "p50"), ("99th percentile", "p99"), ("99.9th percentile", "p999")):
            self.value(what + name, [done[key] for done in rounds], milli)

    def skip(self, why):
        self.skipped.append(why)

    def markdown(self):
        lines = [f"## {self.title}", "", self.text, ""]
        if self.rows:
            lines += ["| | Tailrace | yardstick | ratio |", "|---|---|---|---|"]
            lines += [f"| {' | '.join(row)} |" for row in self.rows]
        lines += [f"\nSkipped: {why}." for why in self.skipped]
        return "\n".join(lines)


def page(machine, sections):
    sizes = machine.sizes
    return "\n".join(
        [
            "# Results",
            "",
            f"Written by `bench/run` on {datetime.date.today()}; measure again with the same command. Medians of "
            f"{sizes.rounds} rounds in which Tailrace and the yardstick took turns, with the least and the most in "
            "brackets. A ratio is Tailrace's figure over the yardstick's of the same round: for rates more is better, for "
            "times, CPU and memory less. Absolute figures are of this machine.",
            "",
            "![The ratios](results.svg)",
            "",
            *(f"* {line}" for line in machine_lines(machine)),
            "",
            "\n\n".join(section.markdown() for section in sections),
            "",
        ]
    )


def machine_lines(machine):
    cpu = next((line for line in read("/proc/cpuinfo").splitlines() if line.startswith("model name")), ": unknown")
    memory = int(read("/proc/meminfo").split()[1]) / 2**20
    yield f"{len(os.sched_getaffinity(0))} cores of {cpu.split(': ')[1]}, {memory:.0f} GiB, Linux {platform.release()}, {file_system(machine.work)}"
    yield f"Tailrace {machine.revision}, {first_line('rustc', '--version')}, {machine.profile} profile"
    for tool in (("zstd", "--version"), ("fio", "--version")):
        yield first_line(*tool) or f"{tool[0]} is not installed"
    yield f"load average when it ended: {os.getloadavg()[0]:.1f} (the benchmark itself is most of it on a quiet machine)"


def file_system(path):
    return (first_line("findmnt", "-no", "FSTYPE,SOURCE", "-T", path) or "file system unknown").replace("  ", " ")


def first_line(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip().splitlines()[0].strip("* ") if done.stdout.strip() else ""


def read(path):
    return pathlib.Path(path).read_text()


def spread(values, show):
    middle = show(statistics.median(values))
    return middle if len(values) < 2 else f"{middle} ({show(min(values))}–{show(max(values))})"


def rate(done):
    return {"rate": done["bytes"] / done["seconds"]}


def mebi(value):
    return f"{value / 2**20:.0f} MiB" if value >= 10 * 2**20 else f"{value / 2**20:.1f} MiB"


def seconds(value):
    return f"{value:.2f} s"


def milli(value):
    return f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.2f} ms"


def plain(unit):
    return lambda value: f"{value:.2f} {unit}"
