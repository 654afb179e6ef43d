"""Gateways under load while they and their workers are killed: `make chaos` one, `make chaos-cluster` several.

What is played with is a scene (`scene.py`); callers, keepers and watchers are the same for all scenes, and so is what
they judge by (`judge.py`).
"""
