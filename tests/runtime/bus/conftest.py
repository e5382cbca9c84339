"""Every kind of bus, for tests of what all of them keep."""

import pytest

from transfer_prompting.runtime.bus import EncodingBus, InProcessBus


@pytest.fixture(params=["in process", "encoding"])
def make_bus(request: pytest.FixtureRequest) -> type[InProcessBus]:
    return {"in process": InProcessBus, "encoding": EncodingBus}[request.param]
