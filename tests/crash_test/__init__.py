"""Real processes, killed at random, and every line looked at: lost, doubled, or out of order."""
