"""kcore.utils."""

from kcore.backend import clear_session, is_keras_tensor, standardize_dtype
from kcore.config import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from kcore.function import get_source_inputs
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
from kcore.utils.arrays import normalize, pad_sequences, to_categorical
from kcore.utils.config_object import Config
from kcore.utils.datasets import timeseries_dataset_from_array
from kcore.utils.download import get_file
from kcore.utils.progbar import Progbar
from kcore.utils.py_dataset import PyDataset, Sequence
from kcore.utils.random_seed import set_random_seed
