"""Spectrograms."""

import numpy as np
import pytest

from kcore import layers, ops

RNG = np.random.default_rng(0)
WAVE = RNG.normal(size=(2, 3000)).astype("float32")
X = RNG.normal(size=(2, 300, 2)).astype("float32")


@pytest.mark.parametrize(
    ("options", "x"),
    [
        ("", WAVE),
        ("", WAVE[0]),
        ("power_to_db=False, mag_exp=1.0", WAVE),
        ("top_db=20.0, ref_power=4.0, min_power=1e-4", WAVE),
        ("sequence_length=200, window='hamming', min_freq=300.0, max_freq=3000.0, sampling_rate=11025", WAVE),
    ],
)
def test_mel_spectrogram_matches_keras(both, options, x):
    ours, theirs = both(f"L.MelSpectrogram(fft_length=256, sequence_stride=100, num_mel_bins=10, {options})")
    want = np.asarray(theirs(x))
    np.testing.assert_allclose(ours(x), want, rtol=1e-3, atol=1e-3)
    assert ours.compute_output_shape(x.shape) == want.shape
    np.testing.assert_allclose(
        ours.linear_to_mel_weight_matrix(), theirs.linear_to_mel_weight_matrix(), rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize(
    "options",
    [
        *(f"'{mode}', frame_step=20" for mode in ("log", "magnitude", "psd", "real", "imag", "stft")),
        "'magnitude', fft_length=100, scaling='spectrum', window='hamming', periodic=True",
        "'magnitude', scaling=None, window=None",
        "'magnitude', window='blackman', padding='same'",
        "'log', expand_dims=True",
        "'stft', expand_dims=True",
        "'psd', data_format='channels_first'",
        "'psd', data_format='channels_first', expand_dims=True",
    ],
)
def test_stft_spectrogram_matches_keras(both, options):
    ours, theirs = both(f"L.STFTSpectrogram({options}, frame_length=64)")
    x = np.moveaxis(X, -1, 1) if "first" in options else X
    want = np.asarray(theirs(x))
    assert ours(x).shape == want.shape
    np.testing.assert_allclose(ours(x), want, rtol=1e-3, atol=1e-4)
    assert ours.compute_output_shape(x.shape) == want.shape
    assert [(w.name, w.shape, w.trainable) for w in ours.weights] == [
        (w.name, tuple(w.shape), w.trainable) for w in theirs.weights
    ]
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=2e-5)


def test_the_angle_turns_into_the_parts():
    angle = np.asarray(layers.STFTSpectrogram("angle", frame_length=64)(X))
    size = np.asarray(layers.STFTSpectrogram("magnitude", frame_length=64)(X))
    real = np.asarray(layers.STFTSpectrogram("real", frame_length=64)(X))
    np.testing.assert_allclose(size * np.cos(angle), real, atol=1e-5)


def test_backends_agree(backend):
    wave, x = ops.convert_to_tensor(WAVE), ops.convert_to_tensor(X)
    mel = layers.MelSpectrogram(fft_length=256, sequence_stride=100, num_mel_bins=10)
    stft = layers.STFTSpectrogram("log", frame_length=64)
    got = [ops.convert_to_numpy(mel(wave)), ops.convert_to_numpy(stft(x))]
    np.testing.assert_allclose(got[0][0, 0, :2], [26.5043, 22.3842], rtol=1e-3)
    np.testing.assert_allclose(got[1][0, 0, :2], np.log([0.637, 0.969]), atol=1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.MelSpectrogram(0), r"fft_length=0 should be an integer of at least 1"),
        (lambda: layers.STFTSpectrogram("power"), r"mode='power' should be one of log"),
        (lambda: layers.STFTSpectrogram(frame_length=-1), r"frame_length=-1 should be"),
        (lambda: layers.STFTSpectrogram(frame_length=64, fft_length=32), r"fft_length=32 should be at least"),
        (lambda: layers.STFTSpectrogram(window="x"), r"stft_spectrogram\w*: .*[Ww]indow"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
