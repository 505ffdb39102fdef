"""The description of a field by its path, as `kubectl explain` shows it."""

from functools import cache

from pydantic import BaseModel

from .slmdeployment import SLMDeploymentSpec


@cache
def description(path: str) -> str:
    """What the field at a path such as spec.engine.kvOffload.size is; empty for a path that is none."""
    model: type[BaseModel] | None = SLMDeploymentSpec
    text = ""
    for name in path.split(".")[1:]:
        if model is None:
            return ""
        fields = {field.alias or key: field for key, field in model.model_fields.items()}
        if name not in fields:
            return ""
        text, model = fields[name].description or "", model_in(fields[name].annotation)
    return text


def model_in(annotation: object) -> type[BaseModel] | None:
    """The model that an annotation holds, alone, optional or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (model_in(argument) for argument in getattr(annotation, "__args__", ()))
    return next((found for found in inner if found is not None), None)
