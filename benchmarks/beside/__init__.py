"""Peers that train the same, each in a separate process: `benchmarks/peers.py` asks them in turn.

Each peer has a module, `in_*`, which its process runs; `answering` is what they share, `workloads` what they are asked
for, `rounds` how they are asked, `commands` what is measured of whole commands, `figure` the picture.
"""
