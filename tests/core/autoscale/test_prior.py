"""What is known of a fleet's step times before anything is measured."""

from typing import Any

import pytest

from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.autoscale.prior import prior
from slmfleet.core.types import Manifest
from tests.core import make


def spec(**fields: Any) -> SLMDeploymentSpec:
    return SLMDeploymentSpec.model_validate(make.slm(**fields)["spec"])


def accelerator(**fields: Any) -> Manifest:
    cuda = {"platform": "cuda", "memory": "24Gi", "resourceName": "nvidia.com/gpu"}
    return {"metadata": {"name": "nvidia-l4"}, "spec": cuda | fields}


def test_a_built_in_class_and_a_size_in_the_models_name() -> None:
    guess = prior(spec(), None)
    assert guess is not None
    # 16 GB of weights at 80 % of the L4's 300 GB/s, and 2 ms of the host's
    assert guess.a == pytest.approx(8e9 * 2 / (0.8 * 300e9) + 0.002)


def test_an_object_goes_before_the_catalogue() -> None:
    guess = prior(spec(), accelerator(memoryBandwidthGBps=600, fp16Tflops=121))
    assert guess is not None
    assert guess.a == pytest.approx(8e9 * 2 / (0.8 * 600e9) + 0.002)


def test_gpus_share_the_work() -> None:
    one, two = prior(spec(), None), prior(spec(parallelism={"tensor": 2}), None)
    assert one is not None
    assert two is not None
    assert two.p == pytest.approx(one.p / 2)


@pytest.mark.parametrize(
    ("fields", "given"),
    [
        pytest.param({"model": {"uri": "hf://acme/support"}}, None, id="a size that nobody tells"),
        pytest.param({"accelerator": {"class": "acme-x1"}}, None, id="a class that nobody knows"),
        pytest.param({}, accelerator(), id="a class without a throughput"),
        pytest.param({}, accelerator(memory="much"), id="a class that cannot be read"),
    ],
)
def test_what_is_not_known_is_not_guessed(fields: dict[str, Any], given: Manifest | None) -> None:
    assert prior(spec(**fields), given) is None
