"""Many small attacks on a server, each with a verdict: what the attacker did, and whether the server withstood it.

    python -m bench.attacks wire              # by a client, or by any program that can connect
    python -m bench.attacks wire --only health
    python -m bench.attacks wire --list

:mod:`bench.chaos` measures the attacks that need minutes; :mod:`bench.faults` makes the machine fail. Each attack runs
against a fresh server process. An attack fails if the server ends, if it grows by more than :data:`serving.GROWTH` MiB,
if an honest client waits longer than :data:`serving.WAIT` s for a status, or if the check of the attack says so.
"""
