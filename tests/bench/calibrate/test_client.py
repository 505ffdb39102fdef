import asyncio

import pytest

from bench.calibrate.client import _Stream

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
EVENT = b'e9\r\ndata: {"choices":[{"text":"a"}]}\n\n\r\n'
END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


async def arrivals(*parts: bytes) -> int:
    stream = _Stream(b"")
    for part in parts:
        stream.data_received(part)
    assert stream.complete == (END in b"".join(parts))
    assert stream.start == parts[0]
    return len(stream.times)


@pytest.mark.parametrize("size", [1, 2, 3, 11])
def test_an_event_is_counted_however_its_bytes_arrive(size: int) -> None:
    sent = HEAD + 3 * EVENT + END
    assert asyncio.run(arrivals(*(sent[at : at + size] for at in range(0, len(sent), size)))) == 3


@pytest.mark.parametrize(
    ("parts", "times"),
    [
        ([HEAD, EVENT + EVENT, EVENT, END], 2),
        ([HEAD, EVENT, EVENT + END], 2),
        ([HEAD + EVENT + END], 1),
        ([HEAD, EVENT], 1),
    ],
)
def test_what_arrives_together_has_one_time(parts: list[bytes], times: int) -> None:
    assert asyncio.run(arrivals(*parts)) == times
