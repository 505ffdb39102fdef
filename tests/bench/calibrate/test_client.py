import asyncio

import pytest

from bench.calibrate.client import _Stream

EVENT = b'e9\r\ndata: {"choices":[{"text":"a"}]}\n\n\r\n'
END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 41, 1000])
def test_events_are_counted_however_the_bytes_arrive(size: int) -> None:
    async def counted() -> int:
        stream = _Stream(b"")
        sent = b"HTTP/1.1 200 OK\r\n\r\n" + 3 * EVENT + END
        for at in range(0, len(sent), size):
            stream.data_received(sent[at : at + size])
        assert b"data: [DONE]" in stream.end
        assert stream.start.startswith(b"HTTP/1.1 200 "[:size])
        return len(stream.times)

    assert asyncio.run(counted()) == 4
