# SPDX-License-Identifier: GPL-3.0-or-later
"""pyinfra's settings."""

from pyinfra import config

config.SUDO = True
config.CONNECT_TIMEOUT = 30  # seconds; nodes that start side by side are slow to answer
