"""Layers for categories, strings and texts."""

import numpy as np
import pytest
from peers import keras

import kcore
from kcore import backends, layers, models, ops, saving
from kcore.layers.hashing import fingerprint, keyed_hash

ABC = "vocabulary=['a', 'b', 'c']"
WORDS = "vocabulary=['the', 'cat']"
TEXTS = ["The CAT! sat the cat", "cat"]
LETTERS = np.array([["a", "z", "c", "a"], ["y", "", "b", "b"]])


def idf(mode, count):
    return f"output_mode='{mode}'" + (f", idf_weights={[0.1 * (i + 1) for i in range(count)]}" * (mode == "tf_idf"))


@pytest.mark.parametrize(
    ("expression", "x"),
    [
        ("L.Hashing(1000)", ["a", "bcdefghij", "d" * 20, "e" * 40, "f" * 100, "f" * 64, "f" * 65, "", "é"]),
        ("L.Hashing(1000)", np.array([[1], [-22]])),
        ("L.Hashing(1000, salt=[133, 137])", ["a", "bcdefgh", "a longer one than that"]),
        ("L.Hashing(1000, salt=5)", [1, 2]),
        ("L.Hashing(5, mask_value='')", ["a", "", "c"]),
        ("L.Hashing(5, mask_value=0)", [1, 2, 0]),
        ("L.Hashing(3, output_mode='one_hot')", ["a", "b"]),
        ("L.Hashing(3, output_mode='multi_hot')", [["a", "b"], ["b", "b"]]),
        ("L.Hashing(3, output_mode='count')", [["a", "b"], ["b", "b"]]),
        ("L.HashedCrossing(10**6)", (np.array(["A", "B"]), np.array([101, 102]))),
        ("L.HashedCrossing(10**6)", (["a", "b"], ["c", "d"], ["e", "f"])),
        ("L.HashedCrossing(5, output_mode='one_hot')", (np.array([["A"], ["B"]]), np.array([[101], [101]]))),
        *((f"L.CategoryEncoding(4, '{mode}')", [[0, 1], [3, 3]]) for mode in ("one_hot", "multi_hot", "count")),
        *((f"L.CategoryEncoding(4, '{mode}')", [0, 3, 3]) for mode in ("one_hot", "multi_hot", "count")),
        ("L.CategoryEncoding(4, 'one_hot')", [[0], [3]]),
        ("L.CategoryEncoding(4)", [[0, -1], [9, 2]]),
        ("L.CategoryEncoding(4, 'count', dtype='int32')", [[0, 1, 1]]),
        ("L.Discretization([0.0, 1.0, 2.0])", np.array([[-1, 0, 0.5, 1, 1.5, 2, 9, np.nan]])),
        *(
            (f"L.Discretization([0.0, 1.0], output_mode='{mode}')", [[0.5, 3.0]])
            for mode in ("one_hot", "multi_hot", "count")
        ),
        *(
            (f"L.StringLookup({ABC}, {options})", LETTERS)
            for options in (
                "max_tokens=9",
                "mask_token=''",
                "num_oov_indices=3",
                "num_oov_indices=3, salt=4",
                *(idf(mode, 3) for mode in ("one_hot", "multi_hot", "count", "tf_idf")),
                *(
                    f"{idf(mode, 3)}, mask_token='', pad_to_max_tokens=True, max_tokens=7"
                    for mode in ("one_hot", "multi_hot", "count", "tf_idf")
                ),
            )
        ),
        (f"L.StringLookup({ABC}, output_mode='one_hot')", ["a"]),
        ("L.StringLookup(vocabulary=['', '[UNK]', 'a'], mask_token='')", ["a", "z", ""]),
        *(
            (f"L.IntegerLookup(vocabulary=[10, 20], {options})", [[10, 20, 30], [31, -5, 0]])
            for options in (
                "max_tokens=9",
                "mask_token=0",
                "num_oov_indices=3",
                "num_oov_indices=2, oov_method='farmhash'",
                "output_mode='count', mask_token=0",
                "output_mode='tf_idf', idf_weights=[0.5, 1.5]",
            )
        ),
        ("L.IntegerLookup(vocabulary=[10, 20], mask_token=0, oov_token=-7, invert=True)", [0, 1, 2, 5]),
        *((f"L.TextVectorization({WORDS}, {idf(mode, 2)})", TEXTS) for mode in ("int", "multi_hot", "count", "tf_idf")),
        (f"L.TextVectorization({WORDS}, output_sequence_length=2)", TEXTS),
        (f"L.TextVectorization({WORDS}, output_sequence_length=9)", np.array(TEXTS)[:, None]),
        ("L.TextVectorization(vocabulary=['the', 'cat', 'the cat'], ngrams=2)", TEXTS),
        (f"L.TextVectorization({WORDS}, ngrams=(2, 3), output_mode='count')", TEXTS),
        ("L.TextVectorization(vocabulary=['t', 'c'], split='character')", ["tca"]),
        ("L.TextVectorization(vocabulary=['the'], split=None)", [["The"], ["cat"]]),
        (f"L.TextVectorization({WORDS}, standardize='lower')", TEXTS),
        ("L.TextVectorization(vocabulary=['The', 'sat'], standardize='strip_punctuation')", ["The s-at!"]),
        ("L.TextVectorization(vocabulary=['été'])", ["Été été\tx"]),
        (f"L.TextVectorization({WORDS}, output_mode='count', pad_to_max_tokens=True, max_tokens=5)", TEXTS),
    ],
)
def test_matches_keras(both, expression, x):
    ours, theirs = both(expression)
    y = ops.convert_to_numpy(ours(x))
    np.testing.assert_allclose(y, np.asarray(theirs(x)), rtol=1e-6)
    remade = type(ours).from_config(ours.get_config())
    np.testing.assert_array_equal(remade(x), y)
    if isinstance(x, np.ndarray):
        spec = ours(kcore.KerasTensor((None, *x.shape[1:]), "string" if x.dtype.kind == "U" else x.dtype))
        assert len(spec.shape) == y.ndim
        assert all(n in (None, m) for n, m in zip(spec.shape[1:], y.shape[1:], strict=True))
        assert spec.dtype == kcore.dtypes.name_of(y.dtype)


def test_the_fingerprint_is_farmhash_and_the_keyed_hash_is_siphash():
    assert fingerprint(b"") == 0x9AE16A3B2F90404F
    key = int.from_bytes(bytes(range(8)), "little"), int.from_bytes(bytes(range(8, 16)), "little")
    assert keyed_hash(bytes(range(15)), key) == 0xA129CA6149BE45E5  # the example of the SipHash paper


def test_counts_can_be_weighed():
    y = layers.CategoryEncoding(4, "count")([[0, 1, 1]], count_weights=np.array([[0.1, 0.2, 0.3]], "float32"))
    np.testing.assert_allclose(y, [[0.1, 0.5, 0, 0]], rtol=1e-6)


def test_strings_come_back():
    there = layers.StringLookup(vocabulary=["a", "b"], mask_token="")
    back = layers.StringLookup(vocabulary=["a", "b"], mask_token="", invert=True)
    assert back(there([["a", "q"], ["", "b"]])).tolist() == [["a", "[UNK]"], ["", "b"]]
    assert back([7, -1]).tolist() == ["[UNK]", "[UNK]"]


# -- adapting ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "data", "x"),
    [
        ("L.StringLookup()", [["b", "a"], ["c", "a"]], ["a", "b", "q"]),
        ("L.StringLookup(max_tokens=3, mask_token='')", [["b", "a"], ["c", "a"]], ["a", "b", ""]),
        ("L.StringLookup(output_mode='tf_idf')", [["b", "a"], ["c", "a"], ["a", "a"]], [["a", "b", "q"]]),
        ("L.StringLookup(output_mode='tf_idf')", ["b", "a", "c", "a"], [["a", "b", "q"]]),
        ("L.IntegerLookup()", np.array([[3, 1], [3, 7]]), [3, 1, 99]),
        ("L.IntegerLookup(output_mode='tf_idf')", np.array([[3, 1], [3, 7]]), [[3, 1, 99]]),
        ("L.TextVectorization(max_tokens=5)", ["foo bar baz", "foo. Bar"], ["foo qux"]),
        ("L.TextVectorization(output_mode='tf_idf')", ["foo bar baz foo", "foo. Bar"], ["foo foo qux baz"]),
        ("L.TextVectorization(ngrams=2, output_mode='multi_hot')", ["foo bar baz foo", "foo. Bar"], ["foo bar"]),
    ],
)
def test_adapting_finds_what_keras_finds(both, expression, data, x):
    ours, theirs = both(expression)
    ours.adapt(data)
    theirs.adapt(data)
    assert ours.get_vocabulary() == [v.item() if hasattr(v, "item") else v for v in theirs.get_vocabulary()]
    assert ours.vocabulary_size() == theirs.vocabulary_size()
    np.testing.assert_allclose(ops.convert_to_numpy(ours(x)), np.asarray(theirs(x)), rtol=1e-6)
    for name in ("vocabulary", "vocabulary_size", "idf_weights"):
        assert ours.get_config()[name] == theirs.get_config()[name]


def test_adapting_to_batches_is_adapting_to_all():
    data = np.random.default_rng(0).integers(0, 30, (100, 4))
    whole, parts = layers.IntegerLookup(output_mode="tf_idf"), layers.IntegerLookup(output_mode="tf_idf")
    whole.adapt(data)
    parts.adapt(data[i : i + 7] for i in range(0, 100, 7))
    assert whole.get_vocabulary() == parts.get_vocabulary()
    np.testing.assert_array_equal(whole(data), parts(data))
    parts.adapt([data[:1]], steps=1)
    assert parts.vocabulary_size() == 1 + len(set(data[0].tolist()))


def test_bins_hold_as_many_numbers_each():
    data = np.random.default_rng(0).normal(size=(5000,)) ** 3
    data[::50] = np.nan
    layer = layers.Discretization(num_bins=5)
    layer.adapt(data[i : i + 400] for i in range(0, 5000, 400))
    shares = np.bincount(np.asarray(layer(data[~np.isnan(data)]))) / 4900
    np.testing.assert_allclose(shares, 0.2, atol=0.001)
    thin = layers.Discretization(num_bins=4)
    for _ in range(30):
        thin.update_state(np.random.default_rng(1).uniform(size=20_000))
    thin.finalize_state()
    np.testing.assert_allclose(thin.bin_boundaries, [0.25, 0.5, 0.75], atol=0.01)
    again = layers.Discretization.from_config(thin.get_config())
    assert again.bin_boundaries == thin.bin_boundaries


# -- files ------------------------------------------------------------------------------


def test_a_vocabulary_comes_from_a_file(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("été\nb\n", encoding="utf-8")
    layer = layers.StringLookup(vocabulary=file)
    assert layer.get_vocabulary() == ["[UNK]", "été", "b"]
    assert layer.get_config()["vocabulary"] is None


LAYERS = {
    "string": ("L.StringLookup(mask_token='')", [["b", "a"], ["c", "a"]], "string"),
    "weighed": ("L.StringLookup(output_mode='tf_idf')", [["b", "a"], ["c", "a"]], "string"),
    "integer": ("L.IntegerLookup(num_oov_indices=2)", np.array([[3, 1], [3, 7]]), "int64"),
    "text": ("L.TextVectorization()", [["b a"], ["a, c"]], "string"),
    "text weighed": ("L.TextVectorization(output_mode='tf_idf')", [["b a"], ["a, c"]], "string"),
    "bins": ("L.Discretization(num_bins=3)", np.arange(9.0)[:, None], "float32"),
    "hash": ("L.Hashing(9)", np.array([["a", "b"]]), "string"),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("writer", ["kcore", "keras"])
def test_saved_models_come_back_from_either_library(both, kind, writer, tmp_path):
    expression, data, dtype = LAYERS[kind]
    made = kcore if writer == "kcore" else keras()
    layer = both(expression)[writer == "keras"]
    if hasattr(layer, "adapt"):
        layer.adapt(data)
    shape = np.shape(data)[1:]
    model = made.Sequential([made.layers.Input(shape, dtype=dtype), layer])
    model.save(tmp_path / "m.keras")
    x = np.asarray(data)
    want = np.asarray(layer(x))
    again = saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.layers[-1](x), want, rtol=1e-6)
    if writer == "kcore":
        theirs = keras().saving.load_model(tmp_path / "m.keras")
        np.testing.assert_allclose(theirs.layers[-1](x), want, rtol=1e-6)


# -- in other places --------------------------------------------------------------------


def test_integer_layers_run_on_every_backend(backend):
    x = np.array([[1, 5, 9], [5, 5, 2]])
    for layer in (layers.IntegerLookup(vocabulary=[5, 1], output_mode="count"), layers.CategoryEncoding(10, "count")):
        got = ops.convert_to_numpy(layer(ops.convert_to_tensor(x)))
        with backends.use("reference"):
            want = np.asarray(type(layer).from_config(layer.get_config())(x))
        np.testing.assert_array_equal(got, want)
    assert str(ops.convert_to_numpy(layers.StringLookup(vocabulary=["a"])(["a", "b"])).tolist()) == "[1, 0]"


def test_a_model_reads_strings(backend):
    inputs = layers.Input((2,), dtype="string")
    y = layers.Embedding(4, 3)(layers.StringLookup(vocabulary=["a", "b", "c"])(inputs))
    model = models.Model(inputs, layers.Dense(1)(layers.Flatten()(y)))
    assert tuple(model(np.array([["a", "b"], ["c", "z"]])).shape) == (2, 1)


def test_string_layers_run_inside_a_tf_data_pipeline():
    tf = pytest.importorskip("tensorflow")
    data = tf.data.Dataset.from_tensor_slices(["the cat", "a cat sat"]).batch(2)
    for layer in (
        layers.TextVectorization(vocabulary=["the", "cat"]),
        layers.TextVectorization(vocabulary=["the", "cat"], output_mode="count"),
        layers.TextVectorization(vocabulary=["the", "cat"], output_sequence_length=2),
        layers.StringLookup(vocabulary=["the cat"]),
        layers.StringLookup(vocabulary=["the cat"], output_mode="one_hot"),
        layers.Hashing(10),
    ):
        (batch,) = list(data.map(layer))
        assert isinstance(batch, tf.Tensor)
        np.testing.assert_array_equal(batch.numpy(), np.asarray(layer(["the cat", "a cat sat"])))
    layer = layers.TextVectorization()
    layer.adapt(data)
    assert layer.get_vocabulary() == ["", "[UNK]", "cat", "the", "sat", "a"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Hashing(0), r"hashing\w*: num_bins=0 should be an integer of at least 1"),
        (lambda: layers.Hashing(3, output_mode="x"), r"output_mode='x' should be one of int, one_hot"),
        (lambda: layers.Hashing(3, salt="a"), r"salt='a' should be an integer, or two"),
        (lambda: layers.HashedCrossing(3)((np.ones((2, 2)), np.ones((2, 2)))), r"\(batch, 1\), not \(2, 2\)"),
        (lambda: layers.CategoryEncoding(0), r"num_tokens=0 should be an integer of at least 1"),
        (lambda: layers.CategoryEncoding(3, "int"), r"output_mode='int' should be one of one_hot"),
        (lambda: layers.Discretization(), r"give one of bin_boundaries=None and num_bins=None"),
        (lambda: layers.Discretization([1, 0]), r"bin_boundaries=\[1.0, 0.0\] should ascend"),
        (lambda: layers.Discretization(num_bins=3)([1.0]), r"has no bins yet"),
        (lambda: layers.StringLookup()(["a"]), r"has no vocabulary yet"),
        (lambda: layers.StringLookup(vocabulary=["a", "a"]), r"tokens more than once: \['a'\]"),
        (lambda: layers.StringLookup(vocabulary=[]), r"the vocabulary is empty"),
        (lambda: layers.StringLookup(vocabulary="nowhere.txt"), r"no vocabulary file 'nowhere.txt'"),
        (lambda: layers.StringLookup(max_tokens=3, vocabulary=["a", "b", "c"]), r"4 tokens, but max_tokens=3"),
        (lambda: layers.StringLookup(num_oov_indices=0, vocabulary=["a"])(["b"]), r"'b' is not in the vocabulary"),
        (lambda: layers.StringLookup(vocabulary=["a"]).adapt(["b"]), r"the vocabulary was given"),
        (lambda: layers.StringLookup(vocabulary=["a"], output_mode="tf_idf"), r"comes with idf_weights"),
        (lambda: layers.IntegerLookup(vocabulary=[1], salt=3), r"salt is for oov_method='farmhash'"),
        (lambda: layers.TextVectorization(split="x"), r"split='x' should be None, a function or one of"),
        (lambda: layers.TextVectorization(vocabulary=["a"])([["a", "b"]]), r"should have shape \(batch,\).*\(1, 2\)"),
    ],
)
def test_errors_say_what_came_and_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
