"""Real processes, killed by a schedule, and every line looked at: lost, doubled, changed, or out of order."""

TOPIC = "crash"
GROUP = "crash-test"
