"""Benchmarks: ours, the floor and peers, side by side in one run."""
