"""Homeport: ship apps to hardware you own.

``core`` decides (pure), ``host`` acts (the agent), ``control`` talks to people and hosts.
"""

__version__ = "0.1.0"
