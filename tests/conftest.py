"""What all tests share."""

import asyncio

from hypothesis import settings

# looptime asks for the current event loop before every test; without this, Python 3.11 makes one for it and never closes it.
asyncio.set_event_loop(None)

# How long an example takes is the machine's affair: a busy one must not fail a test.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
