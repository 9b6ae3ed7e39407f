"""What scripts/benchmark.py measures, and how. `system.py` alone knows how a system is built, trained and evaluated."""
