import pytest
from activation_toys import Dump


@pytest.fixture
def dump(tmp_path):
    return Dump(tmp_path / "run.h5")
