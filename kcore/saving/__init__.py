"""kcore.saving: models, weights and configs in Keras 3's own formats."""

from kcore.saving.editor import KerasFileEditor
from kcore.saving.files import load_model, load_weights, save_model, save_weights
from kcore.saving.graph_config import functional_config, functional_from_config
from kcore.saving.registry import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from kcore.saving.serialization import (
    SafeModeScope,
    deserialize_keras_object,
    enable_unsafe_deserialization,
    in_safe_mode,
    serialize_keras_object,
)
