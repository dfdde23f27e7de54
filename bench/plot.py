"""Plots, where matplotlib is installed. What was measured is never lost for want of a picture."""

import statistics
import sys

GOOD, BAD = "#2a7", "#c43"


def pyplot():
    """None without matplotlib."""
    try:
        import matplotlib

        matplotlib.use("svg")
        from matplotlib import pyplot
    except ImportError:
        print("bench: no plot without matplotlib (pip install matplotlib)", file=sys.stderr)
        return None
    return pyplot


def ratios(sections, path):
    """All ratios of a report, the median with the least and the most."""
    drawn = pyplot()
    rows = [(section, ratio) for section in sections for ratio in section.ratios]
    if drawn is None or not rows:
        return
    figure, axis = drawn.subplots(figsize=(11, 0.26 * len(rows) + 1.2))
    for place, (_, ratio) in enumerate(rows):
        median = statistics.median(ratio.values)
        is_good = median >= 1 if ratio.more_is_better else median <= 1
        axis.plot([min(ratio.values), max(ratio.values)], [place, place], color="#999", linewidth=1)
        axis.plot([median], [place], "o", color=GOOD if is_good else BAD, markersize=5)
    axis.axvline(1, color="black", linewidth=0.6)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("{x:g}")
    axis.tick_params(axis="x", which="both", labelsize=7)
    axis.set_xlabel("Tailrace's figure over the yardstick's; green: Tailrace is better")
    axis.set_yticks(range(len(rows)))
    axis.set_yticklabels([f"{ratio.what}, {ratio.yardstick}" for _, ratio in rows], fontsize=7)
    axis.invert_yaxis()
    for place, (section, _) in enumerate(rows):
        if place == 0 or rows[place - 1][0] is not section:
            axis.axhline(place - 0.5, color="#ccc", linewidth=0.6)
    figure.tight_layout()
    figure.savefig(path)
