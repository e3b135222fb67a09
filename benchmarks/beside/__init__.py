"""Peers that train the same, each in a process of its own: `benchmarks/peers.py` asks them in turn.

A module for each peer, `in_*`, is what such a process runs; `answering` is what they share, `workloads` what they are
asked for, `rounds` how they are asked, `commands` what is measured of whole commands, `figure` the picture.
"""
