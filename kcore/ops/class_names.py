"""Names of the classes that Keras has behind its ops: automatic names, summaries and files go by them.

Most are the op's name in camel case; the table has the others.
"""

from __future__ import annotations

_CLASSES = {
    "allclose": "AllClose",
    "batch_normalization": "BatchNorm",
    "cdist": "CDist",
    "conj": "Conjugate",
    "ctc_decode": "CTCDecode",
    "ctc_loss": "CTCLoss",
    "fft": "FFT",
    "fft2": "FFT2",
    "hard_swish": "HardSilu",
    "hsv_to_rgb": "HSVToRGB",
    "ifft2": "IFFT2",
    "irfft": "IRFFT",
    "isin": "IsIn",
    "istft": "ISTFT",
    "jvp": "JVP",
    "layer_normalization": "LayerNorm",
    "psnr": "PSNR",
    "rfft": "RFFT",
    "rgb_to_grayscale": "RGBToGrayscale",
    "rgb_to_hsv": "RGBToHSV",
    "rms_normalization": "RMSNorm",
    "searchsorted": "SearchSorted",
    "ssim": "SSIM",
    "stft": "STFT",
    "svd": "SVD",
    "swish": "Silu",
}


def class_name(op_name: str) -> str:
    """ "leaky_relu" -> "LeakyRelu"."""
    return _CLASSES.get(op_name) or "".join(part.capitalize() for part in op_name.split("_"))
