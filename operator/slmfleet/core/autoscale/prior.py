"""What is known of a fleet's step times before anything is measured."""

from pydantic import ValidationError

from slmfleet.api.catalogue import builtin
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.accept import accelerator_class
from slmfleet.core.types import Manifest
from slmfleet.engine import roofline
from slmfleet.engine.startup import billions_of_parameters
from slmfleet.engine.steptime import StepTime


def prior(spec: SLMDeploymentSpec, accelerator: Manifest | None) -> StepTime | None:
    """The guess from the accelerator's data sheet and the model's size; None where either is unknown.

    `accelerator` is the AcceleratorClass object that the spec names, if there is one. Weights are taken as 16 bits:
    what is wrong in the guess's scale, the measured speed mends.
    """
    billions = billions_of_parameters(spec.model.uri)
    try:
        known = builtin(spec.accelerator.class_name) if accelerator is None else accelerator_class(accelerator)
    except ValidationError:  # plan() tells
        return None
    if known is None or billions is None:
        return None
    return roofline.prior(known, billions * 1e9, gpus=spec.parallelism.tensor)
