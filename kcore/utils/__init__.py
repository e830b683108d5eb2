"""kcore.utils."""

from kcore.backend import clear_session, is_keras_tensor, standardize_dtype
from kcore.training.trainer import pack_x_y_sample_weight, unpack_x_y_sample_weight
from kcore.utils.py_dataset import PyDataset, Sequence
