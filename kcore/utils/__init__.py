"""kcore.utils."""

from kcore.backend import clear_session, is_keras_tensor, standardize_dtype
from kcore.saving import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)
from kcore.training.trainer import pack_x_y_sample_weight, unpack_x_y_sample_weight
from kcore.utils.py_dataset import PyDataset, Sequence
from kcore.utils.random_seed import set_random_seed
