"""What all tests share."""

import asyncio

# looptime asks for the current event loop before every test; without this, Python 3.11 makes one for it and never closes it.
asyncio.set_event_loop(None)
