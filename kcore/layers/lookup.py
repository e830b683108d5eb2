"""StringLookup and IntegerLookup: tokens as their places in a vocabulary, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from kcore import ops
from kcore.layers.arguments import config_of, taken
from kcore.layers.encode import MODES, check_sparse, encoded, encoded_shape
from kcore.layers.hashing import hasher, salt_of
from kcore.layers.preprocess import DataLayer, batches
from kcore.layers.strings import as_array, on_host
from kcore.ops.symbolic import KerasTensor

FILE = "vocabulary.txt"
OUTPUT_MODES = ("int", *MODES, "tf_idf")
# The arguments that both layers have.
_OPTIONS = (
    *("max_tokens", "num_oov_indices", "mask_token", "oov_token", "vocabulary", "idf_weights", "invert"),
    *("output_mode", "sparse", "pad_to_max_tokens", "salt"),
)


class Lookup(DataLayer):
    """The part of lookups that does not depend on what tokens are.

    The vocabulary begins with the mask token, if there is one and the output is numbers, and `num_oov_indices` places
    for tokens that are not in it.
    """

    _convert_inputs = False
    _weights_come_with_files = True  # as many as the vocabulary that comes beside them
    _kind: str  # the dtype of a token
    encoding = "utf-8"
    oov_method = "floormod"

    def _keep(
        self,
        *,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any,
        idf_weights: Any,
        invert: bool,
        output_mode: str,
        sparse: bool,
        pad_to_max_tokens: bool,
        oov_method: str,
        salt: Any,
    ) -> None:
        where = self.name
        if max_tokens is not None and max_tokens <= 1:
            raise ValueError(f"{where}: max_tokens={max_tokens!r} should be above 1.")
        if pad_to_max_tokens and max_tokens is None:
            raise ValueError(f"{where}: pad_to_max_tokens=True needs max_tokens.")
        if num_oov_indices < 0:
            raise ValueError(f"{where}: num_oov_indices={num_oov_indices!r} should not be negative.")
        if output_mode not in OUTPUT_MODES:
            raise ValueError(f"{where}: output_mode={output_mode!r} should be one of {', '.join(OUTPUT_MODES)}.")
        if invert and output_mode != "int":
            raise ValueError(f"{where}: invert=True goes with output_mode='int', not {output_mode!r}.")
        check_sparse(self, sparse, output_mode)
        if idf_weights is not None and output_mode != "tf_idf":
            raise ValueError(f"{where}: idf_weights are for output_mode='tf_idf', not {output_mode!r}.")
        if oov_method not in ("floormod", "farmhash"):
            raise ValueError(f"{where}: oov_method={oov_method!r} should be 'floormod' or 'farmhash'.")
        self.max_tokens, self.num_oov_indices, self.invert = max_tokens, num_oov_indices, invert
        self.mask_token, self.oov_token = mask_token, oov_token
        self.output_mode, self.sparse, self.pad_to_max_tokens = output_mode, bool(sparse), pad_to_max_tokens
        self.oov_method, self.salt = oov_method, salt_of(self, salt)
        self.input_vocabulary = None if vocabulary is None or isinstance(vocabulary, (str, Path)) else vocabulary
        self.input_idf_weights = None if idf_weights is None else np.asarray(idf_weights).tolist()
        self._tokens: list[Any] = []
        self._index: dict[Any, int] = {}
        self._idf: np.ndarray | None = None
        self._frozen = False
        self.built = True
        self.reset_state()
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)
            if self.input_vocabulary is not None:
                self.input_vocabulary = as_array(self.input_vocabulary, self.encoding).tolist()

    # -- the vocabulary -----------------------------------------------------------------

    @property
    def compute_dtype(self) -> str:
        return self._kind

    @property
    def variable_dtype(self) -> str:
        """That of a token."""
        return self._kind

    dtype = variable_dtype  # type: ignore[assignment]

    def _special(self) -> list[Any]:
        masked = [self.mask_token] if self.mask_token is not None and self.output_mode == "int" else []
        return masked + [self.oov_token] * self.num_oov_indices

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The tokens in the order of their numbers, those for masked and unknown ones first."""
        return [*self._special(), *self._tokens] if include_special_tokens else list(self._tokens)

    def vocabulary_size(self) -> int:
        """The number of tokens, those for masked and unknown ones included."""
        return len(self._tokens) + len(self._special())

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Sets the tokens, which `adapt` changes no more.

        Args:
            vocabulary: The tokens, or the path of a text file with one a line. Those for masked and unknown ones may
                stand in front.
            idf_weights: For "tf_idf": one for each token.

        Raises:
            ValueError: There are none or too many, one is there twice, or the weights don't fit.
        """
        tokens = self._read(vocabulary) if isinstance(vocabulary, (str, Path)) else self._as_tokens(vocabulary)
        special = self._special()
        front = len(special) if tokens[: len(special)] == special else 0
        weights = None
        if self.output_mode == "tf_idf":
            if idf_weights is None:
                raise ValueError(f"{self.name}: for output_mode='tf_idf' a vocabulary comes with idf_weights.")
            weights = np.asarray(ops.convert_to_numpy(idf_weights), "float32")
            if weights.shape != (len(tokens),):
                raise ValueError(
                    f"{self.name}: idf_weights of shape {weights.shape} should be one for each of {len(tokens)} tokens."
                )
            weights = weights[front:]
        elif idf_weights is not None:
            raise ValueError(f"{self.name}: idf_weights are for output_mode='tf_idf', not {self.output_mode!r}.")
        self._set_tokens(tokens[front:], weights)
        self._frozen = True

    def _read(self, path: Any) -> list[Any]:
        file = Path(path)
        if not file.is_file():
            raise ValueError(f"{self.name}: there is no vocabulary file {str(path)!r}.")
        lines = file.read_text(encoding=self.encoding).split("\n")
        return self._as_tokens(lines[:-1] if lines[-1] == "" else lines)

    def _as_tokens(self, values: Any) -> list[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no _as_tokens.")

    def _set_tokens(self, tokens: list[Any], weights: np.ndarray | None) -> None:
        if not tokens:
            raise ValueError(f"{self.name}: the vocabulary is empty.")
        twice = [token for token, count in Counter(tokens).items() if count > 1]
        if twice:
            raise ValueError(f"{self.name}: the vocabulary has tokens more than once: {twice[:10]}.")
        size = len(tokens) + len(self._special())
        if self.max_tokens is not None and size > self.max_tokens:
            raise ValueError(f"{self.name}: the vocabulary has {size} tokens, but max_tokens={self.max_tokens}.")
        first = len(self._special())
        self._tokens = tokens
        self._index = {token: i for i, token in enumerate(tokens, first)}
        self._idf = None if weights is None else np.concatenate([np.full(first, weights.mean()), weights])

    # -- adapting -----------------------------------------------------------------------

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Takes the vocabulary of data, the most frequent tokens first, forgetting an earlier one.

        Args:
            data: An array, tensor or list, or a data set of batches. A row is a document; of a vector, each element.
            steps: How many batches at most.

        Raises:
            ValueError: The vocabulary was given, or the data has no tokens.
        """
        self.reset_state()
        for batch in batches(data, steps):
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Counts a batch in."""
        rows = as_array(data, self.encoding)
        rows = rows.reshape(rows.shape[0] if rows.ndim else 1, -1)
        self.count_documents(rows.tolist())

    def count_documents(self, documents: Iterable[list[Any]]) -> None:
        """Counts the tokens of documents."""
        if self._frozen:
            raise ValueError(f"{self.name}: the vocabulary was given; adapt is for layers without.")
        for tokens in documents:
            self._counts.update(tokens)
            self._document_counts.update(set(tokens))
            self._documents += 1

    def finalize_state(self) -> None:
        """Makes the vocabulary of what was counted."""
        if self._frozen or not self._documents:
            return
        for token in (self.mask_token, self.oov_token):
            self._counts.pop(token, None)
        ranked = sorted(self._counts, key=lambda token: (self._counts[token], token), reverse=True)
        room = len(ranked) if self.max_tokens is None else max(0, self.max_tokens - len(self._special()))
        tokens = ranked[:room]
        weights = None
        if self.output_mode == "tf_idf":
            found = np.array([self._document_counts[token] for token in tokens], "float64")
            weights = np.log(1 + self._documents / (1 + found)).astype("float32")
        self._set_tokens(tokens, weights)
        self._forget_counts()

    def reset_state(self) -> None:
        """Forgets what was counted, and a vocabulary that was made of it."""
        if not self._frozen:
            self._tokens, self._index, self._idf = [], {}, None
        self._forget_counts()

    def _forget_counts(self) -> None:
        self._counts: Counter = Counter()
        self._document_counts: Counter = Counter()
        self._documents = 0

    # -- looking up ---------------------------------------------------------------------

    def _require_vocabulary(self) -> None:
        if not self._tokens:
            raise ValueError(f"{self.name}: the layer has no vocabulary yet; give it one, or call adapt.")

    def _numbers(self, values: np.ndarray) -> np.ndarray:
        """Each token's place; -1 where it is masked and masks have none."""
        masked = 0 if self.output_mode == "int" else -1
        index = self._index if self.mask_token is None else self._index | {self.mask_token: masked}
        flat = values.ravel().tolist()
        found = [index[v] if v in index else self._unknown(v) for v in flat]
        return np.array(found, "int64").reshape(values.shape)

    def _unknown(self, token: Any) -> int:
        """The place of a token that is not in the vocabulary."""
        if not self.num_oov_indices:
            raise ValueError(
                f"{self.name}: {token!r} is not in the vocabulary, and num_oov_indices=0 has no place for it."
            )
        first = len(self._special()) - self.num_oov_indices
        return first if self.num_oov_indices == 1 else first + self._bucket(token)

    def _bucket(self, token: Any) -> int:
        return hasher(self.salt)(str(token).encode(self.encoding)) % self.num_oov_indices

    def _depth(self) -> int:
        return self.max_tokens if self.pad_to_max_tokens and self.max_tokens else self.vocabulary_size()

    def encode(self, numbers: Any) -> Any:
        """The result for tokens' places."""
        if self.output_mode == "int":
            return numbers
        if self.output_mode != "tf_idf":
            return encoded(numbers, self.output_mode, self._depth(), "int64", sparse=self.sparse)
        assert self._idf is not None
        dtype = self._dtype_policy.compute_dtype
        weights = np.pad(self._idf, (0, self._depth() - len(self._idf)))
        counts = encoded(numbers, "count", self._depth(), dtype, sparse=self.sparse)
        return ops.multiply(counts, ops.cast(weights, dtype))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        return encoded_shape(input_shape, mode, self._depth())

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        return KerasTensor(self.compute_output_shape(inputs.shape), self._output_dtype(), sparse=self.sparse)

    def _output_dtype(self) -> str:
        if self.invert:
            return self._kind
        return self._dtype_policy.compute_dtype if self.output_mode == "tf_idf" else "int64"

    # -- files --------------------------------------------------------------------------

    def get_build_config(self) -> dict:
        return {}

    def build_from_config(self, config: dict) -> None:
        """There is nothing to build."""

    def save_own_variables(self, store: Any) -> None:
        if self.output_mode == "tf_idf" and self._idf is not None:
            store["idf_weights"] = self._idf

    def load_own_variables(self, store: Any) -> None:
        if self.output_mode == "tf_idf" and "idf_weights" in store:
            self._idf = np.asarray(store["idf_weights"], "float32")

    def save_assets(self, dir_path: Any) -> None:
        """Writes the vocabulary, if the config does not have it, into a file in the folder."""
        if self.input_vocabulary is None and self._tokens:
            text = "\n".join(str(token) for token in self.get_vocabulary())
            Path(dir_path, FILE).write_text(text, encoding=self.encoding)

    def load_assets(self, dir_path: Any) -> None:
        """Reads the vocabulary from a folder that `save_assets` wrote to."""
        file = Path(dir_path, FILE)
        if self.input_vocabulary is not None or not file.is_file():
            return
        tokens = self._as_tokens(file.read_text(encoding=self.encoding).split("\n"))
        weights = self._idf
        self._set_tokens(tokens[len(self._special()) :], None)
        self._idf = weights

    def _config(self) -> tuple[dict, dict]:
        size = self.vocabulary_size() if self._tokens else None
        names = ("invert", "max_tokens", "num_oov_indices", "oov_token", "mask_token", "output_mode", "sparse")
        return config_of(self, *names, "pad_to_max_tokens"), {
            "idf_weights": self.input_idf_weights,
            "vocabulary": self.input_vocabulary,
            "vocabulary_size": size,
            "oov_method": self.oov_method,
            "salt": self.salt,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        """The layer of a config. A vocabulary of its own comes with its assets."""
        return cls(**{k: v for k, v in config.items() if k not in ("vocabulary_size", "oov_method")})


class StringLookup(Lookup):
    """Strings as their places in a vocabulary, or the other way round.

    Args:
        max_tokens: The greatest size of the vocabulary, the places for masked and unknown ones included.
        num_oov_indices: How many places there are for strings that are not in it; a hash chooses among several. With
            0 such strings are an error.
        mask_token: A string that stands for nothing: its place is 0.
        oov_token: What unknown ones come back as.
        vocabulary: The strings, or the path of a text file with one a line; else `adapt` finds them.
        idf_weights: For "tf_idf": one for each string of the vocabulary.
        invert: Whether to go from places to strings.
        output_mode: "int" for places; "one_hot", "multi_hot" and "count" as for `CategoryEncoding`; "tf_idf" for
            counts times weights, those of unknown strings being the mean.
        pad_to_max_tokens: Whether encodings are `max_tokens` wide even if the vocabulary is smaller.
        sparse: Whether the vectors come as a sparse tensor.
        encoding: Of bytes and files.
        salt: One or two integers: another hash for unknown strings, keyed by them.

    Returns:
        int64, floats for "tf_idf", or with `invert` an array of strings.

    Raises:
        ValueError: An argument is off, there is no vocabulary yet, or a string has no place.
    """

    _kind = "string"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.encoding = encoding
        self._keep(**taken(locals(), *_OPTIONS), oov_method="floormod")

    def _as_tokens(self, values: Any) -> list[Any]:
        return [str(v) for v in as_array(list(values) if not hasattr(values, "shape") else values, self.encoding)]

    def call(self, inputs: Any) -> Any:
        self._require_vocabulary()
        if self.invert:
            return on_host(self._strings, inputs, "string")
        return self.encode(on_host(self._numbers, inputs, "int64", encoding=self.encoding))

    def _strings(self, places: np.ndarray) -> np.ndarray:
        known = self.get_vocabulary()
        made = [known[i] if 0 <= i < len(known) else self.oov_token for i in places.ravel().tolist()]
        return np.array(made, object).reshape(places.shape)

    def get_config(self) -> dict:
        options, state = self._config()
        return super().get_config() | options | state | {"encoding": self.encoding}


class IntegerLookup(Lookup):
    """Integers as their places in a vocabulary, or the other way round.

    Args:
        max_tokens, num_oov_indices, idf_weights, invert, output_mode, sparse, pad_to_max_tokens: As for
            `StringLookup`. Among several places for unknown ones the remainder chooses.
        mask_token: An integer that stands for nothing: its place is 0.
        oov_token: What unknown ones come back as.
        vocabulary: The integers, or the path of a text file with one a line; else `adapt` finds them.
        vocabulary_dtype: "int64".
        oov_method: "floormod", or "farmhash" for a hash of the digits.
        salt: For "farmhash": one or two integers that key the hash.

    Raises:
        ValueError: An argument is off, there is no vocabulary yet, or an integer has no place.
    """

    _kind = "int64"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if vocabulary_dtype != "int64":
            raise ValueError(f"{self.name}: vocabulary_dtype={vocabulary_dtype!r} should be 'int64'.")
        if salt is not None and oov_method != "farmhash":
            raise ValueError(f"{self.name}: salt is for oov_method='farmhash', not {oov_method!r}.")
        self.vocabulary_dtype = vocabulary_dtype
        self._keep(**taken(locals(), *_OPTIONS, "oov_method"))

    def _as_tokens(self, values: Any) -> list[Any]:
        return [int(v) for v in as_array(list(values) if not hasattr(values, "shape") else values)]

    def call(self, inputs: Any) -> Any:
        self._require_vocabulary()
        if self.invert:
            known = np.array(self.get_vocabulary(), "int64")
            places = ops.cast(inputs, "int64")
            inside = ops.logical_and(places >= 0, places < len(known))
            return ops.where(inside, ops.take(known, ops.where(inside, places, 0), 0), self.oov_token)
        if self.num_oov_indices == 0 or (self.num_oov_indices > 1 and self.oov_method == "farmhash"):
            return self.encode(on_host(self._numbers, inputs, "int64"))
        return self.encode(self._places(ops.cast(inputs, "int64")))

    def _places(self, x: Any) -> Any:
        """As `_numbers`, in ops: it can be compiled."""
        order = np.argsort(np.array(self._tokens, "int64"))
        keys, first = np.array(self._tokens, "int64")[order], len(self._special())
        at = ops.minimum(ops.searchsorted(keys, x), len(keys) - 1)
        known = ops.equal(ops.take(keys, at, 0), x)
        unknown = ops.add(ops.mod(x, self.num_oov_indices), first - self.num_oov_indices)
        found = ops.where(known, ops.take(order + first, at, 0), unknown)
        if self.mask_token is not None:
            found = ops.where(ops.equal(x, self.mask_token), 0 if self.output_mode == "int" else -1, found)
        return ops.cast(found, "int64")

    def get_config(self) -> dict:
        options, state = self._config()
        return super().get_config() | options | {"vocabulary_dtype": self.vocabulary_dtype} | state

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        """The layer of a config. A vocabulary of its own comes with its assets."""
        return cls(**{k: v for k, v in config.items() if k != "vocabulary_size"})
