"""kcore.models."""

from kcore.models.clone import clone_model
from kcore.models.functional import Functional
from kcore.models.model import Model
from kcore.models.sequential import Sequential
from kcore.saving.files import load_model, save_model


def model_from_json(json_string: str, custom_objects: dict | None = None) -> Model:
    """The model of `Model.to_json`'s text, with fresh weights."""
    import json

    from kcore import saving

    return saving.deserialize_keras_object(json.loads(json_string), custom_objects=custom_objects)
