"""keras.layers: every layer, by its Keras name."""

from typing import Any

from kcore.layers.activate import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from kcore.layers.attention import (
    AdditiveAttention,
    Attention,
    GroupedQueryAttention,
    GroupQueryAttention,
    MultiHeadAttention,
)
from kcore.layers.cells import GRUCell, LSTMCell, SimpleRNNCell
from kcore.layers.color import (
    AutoContrast,
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomGrayscale,
    RandomHue,
    RandomInvert,
    RandomPosterization,
    RandomSaturation,
    RandomSharpness,
    Solarization,
)
from kcore.layers.convlstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
from kcore.layers.convolve import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
    Convolution1D,
    Convolution1DTranspose,
    Convolution2D,
    Convolution2DTranspose,
    Convolution3D,
    Convolution3DTranspose,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
    SeparableConvolution1D,
    SeparableConvolution2D,
)
from kcore.layers.core import (
    Dense,
    EinsumDense,
    Embedding,
    Identity,
    Lambda,
    Masking,
    ReversibleEmbedding,
    Wrapper,
)
from kcore.layers.effects import RandomColorJitter, RandomErasing, RandomGaussianBlur
from kcore.layers.encode import CategoryEncoding, Discretization
from kcore.layers.geometry import (
    CenterCrop,
    RandomCrop,
    RandomFlip,
    RandomPerspective,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
    Resizing,
)
from kcore.layers.hashing import HashedCrossing, Hashing
from kcore.layers.input_layer import Input, InputLayer
from kcore.layers.input_spec import InputSpec
from kcore.layers.layer import Layer
from kcore.layers.lookup import IntegerLookup, StringLookup
from kcore.layers.merge import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from kcore.layers.mix import CutMix, MixUp, Pipeline
from kcore.layers.normalize import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    SpectralNormalization,
    UnitNormalization,
)
from kcore.layers.pool import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    AvgPool1D,
    AvgPool2D,
    AvgPool3D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalAvgPool3D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GlobalMaxPool3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
    MaxPool1D,
    MaxPool2D,
    MaxPool3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from kcore.layers.preprocess import Normalization, Rescaling
from kcore.layers.recurrent import GRU, LSTM, SimpleRNN
from kcore.layers.regularize import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from kcore.layers.reshape import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    Flatten,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)
from kcore.layers.rnn import RNN, StackedRNNCells
from kcore.layers.spectrogram import MelSpectrogram, STFTSpectrogram
from kcore.layers.text import TextVectorization
from kcore.layers.wrap import Bidirectional, TimeDistributed


def serialize(layer: Any) -> dict:
    """The layer's serialized form, as `.keras` files have it."""
    from kcore import saving

    return saving.serialize_keras_object(layer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The layer that `serialize` gave `config` for.

    Raises:
        ValueError: The config stands for no layer.
    """
    from kcore import saving

    layer = saving.deserialize_keras_object(config, module_objects=globals(), custom_objects=custom_objects)
    if not isinstance(layer, Layer):
        raise ValueError(f"{config!r} stands for no layer.")
    return layer
