# What people do with this repository. `just` lists it.

_default:
    @just --list

# Format everything.
fmt:
    cargo fmt --all

# The lints that CI denies.
lint:
    tests/run fmt clippy deny

# Everything that CI runs, or only the named steps.
test *STEPS:
    tests/run {{STEPS}}

# Kill agent, collector and consumer at random and look at every line.
crash *ARGS="--kills 200":
    tests/crash {{ARGS}}

# Ten minutes of fuzzing for each parser of outside bytes.
fuzz SECONDS="600":
    tests/fuzz {{SECONDS}}

# Power-loss simulations, longer than in CI.
sim CASES="2000":
    PROPTEST_CASES={{CASES}} cargo test --workspace --release -- power

# Count the instructions of the hot paths, and compare them with those of an earlier commit.
instructions *COMMIT:
    bench/instructions {{COMMIT}}

# Measure against the yardsticks and write bench/RESULTS.md.
bench:
    bench/run

# Two hours under a steady load: does anything grow, is a line lost? Writes bench/SOAK.md and a plot.
soak:
    bench/soak

# Kill agents, ours and others, while programs write and rotate, and count what becomes of the lines. Writes bench/KILLS.md.
kills *ARGS:
    target/test-venv/bin/python bench/kills {{ARGS}}

# A static binary, a .deb and an .rpm of the agent, in target/packages.
package *FORMATS:
    deploy/package {{FORMATS}}
