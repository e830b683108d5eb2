"""TextVectorization: texts as numbers of words."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

import numpy as np

from kcore.layers.arguments import config_of
from kcore.layers.lookup import FILE, StringLookup
from kcore.layers.preprocess import DataLayer, batches
from kcore.layers.strings import as_array, as_text, on_host
from kcore.ops.symbolic import KerasTensor

STANDARDS = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
SPLITS = ("whitespace", "character")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_WORD = re.compile(r"[^ \t\n\r\f\v]+")


class TextVectorization(DataLayer):
    """Texts as the numbers of their words in a vocabulary.

    Args:
        max_tokens: The greatest size of the vocabulary, the places for padding and unknown words included.
        standardize: What is done to a text first: "lower_and_strip_punctuation", "lower" (letters A to Z),
            "strip_punctuation", None, or a function from an array of strings to another.
        split: Where words end: "whitespace", "character", None for texts that are a word each, or a function from an
            array of strings to a list of lists of words.
        ngrams: Also takes runs of words: up to that many, or of the lengths of a tuple.
        output_mode: "int" for the words' numbers; "multi_hot", "count" or "tf_idf" for one vector a text.
        output_sequence_length: For "int": texts are cut or padded to that many words; else to the longest.
        pad_to_max_tokens, vocabulary, idf_weights, encoding: As for `StringLookup`.
        sparse: Whether the vectors come as a sparse tensor.
        ragged: False: results are padded.

    Input: a text, or texts of shape (batch,) or (batch, 1).

    Returns:
        int64 (batch, words), where 0 is padding and 1 an unknown word; or (batch, vocabulary).

    Raises:
        ValueError: An argument or a shape is off, or there is no vocabulary yet.
    """

    _convert_inputs = False
    _weights_come_with_files = True

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: Any = "lower_and_strip_punctuation",
        split: Any = "whitespace",
        ngrams: Any = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        for what, value, known in (("standardize", standardize, STANDARDS), ("split", split, SPLITS)):
            if value is not None and not callable(value) and value not in known:
                raise ValueError(f"{self.name}: {what}={value!r} should be None, a function or one of {known}.")
        if ragged:
            raise ValueError(f"{self.name}: ragged=True is not to be had: results are padded.")
        if ngrams is not None:
            ngrams = ngrams if isinstance(ngrams, int) else tuple(ngrams)
            if any(not isinstance(n, int) or n < 1 for n in (ngrams if isinstance(ngrams, tuple) else (ngrams,))):
                raise ValueError(f"{self.name}: ngrams={ngrams!r} should be a positive integer, or a tuple of them.")
        if output_sequence_length is not None:
            if output_mode != "int":
                raise ValueError(f"{self.name}: output_sequence_length is for output_mode='int', not {output_mode!r}.")
            if output_sequence_length < 1:
                raise ValueError(f"{self.name}: {output_sequence_length=} should be at least 1.")
        self.max_tokens, self.standardize, self.split, self.ngrams = max_tokens, standardize, split, ngrams
        self.output_mode, self.output_sequence_length = output_mode, output_sequence_length
        self.pad_to_max_tokens, self.sparse, self.ragged = pad_to_max_tokens, sparse, ragged
        self.encoding = encoding
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            pad_to_max_tokens=pad_to_max_tokens,
            mask_token="",
            output_mode=output_mode,
            sparse=sparse,
            encoding=encoding,
        )

    @property
    def compute_dtype(self) -> str:
        return "string"

    @property
    def variable_dtype(self) -> str:
        """That of a text."""
        return "string"

    dtype = variable_dtype  # type: ignore[assignment]

    def build(self, input_shape: Any = None) -> None:
        """There is nothing to build."""

    # -- the vocabulary, which the lookup keeps -----------------------------------------

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Takes the vocabulary of texts, the most frequent words first, forgetting an earlier one.

        Args:
            data: An array, tensor or list of texts, or a data set of batches.
            batch_size: Kept for Keras: the batches are those of the data.
            steps: How many batches at most.

        Raises:
            ValueError: The vocabulary was given, or there are no words.
        """
        self.reset_state()
        for batch in batches(data, steps):
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Counts a batch in."""
        self._lookup_layer.count_documents(self._words(as_array(data, self.encoding).reshape(-1)))

    def finalize_state(self) -> None:
        """Makes the vocabulary of what was counted."""
        self._lookup_layer.finalize_state()

    def reset_state(self) -> None:
        """Forgets what was counted, and a vocabulary that was made of it."""
        self._lookup_layer.reset_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The words in the order of their numbers."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """The number of words, those for padding and unknown ones included."""
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Sets the words; see `StringLookup.set_vocabulary`."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    # -- texts --------------------------------------------------------------------------

    def _words(self, texts: np.ndarray) -> list[list[str]]:
        """The words of each text, n-grams behind."""
        texts = self._standardized(texts)
        if self.split is None:
            words = [[t] for t in texts.tolist()]
        elif self.split == "whitespace":
            words = [_WORD.findall(t) for t in texts.tolist()]
        elif self.split == "character":
            words = [list(t) for t in texts.tolist()]
        else:
            words = [as_text(np.asarray(row, object), self.encoding).tolist() for row in self.split(texts)]
        if self.ngrams is None:
            return words
        lengths = self.ngrams if isinstance(self.ngrams, tuple) else range(1, self.ngrams + 1)
        return [
            [" ".join(row[i : i + n]) for n in lengths for i in range(len(row) - n + 1)] if row else [] for row in words
        ]

    def _standardized(self, texts: np.ndarray) -> np.ndarray:
        if callable(self.standardize):
            return as_text(np.asarray(self.standardize(texts), object), self.encoding)
        made = texts.ravel().tolist()
        if self.standardize in ("lower", "lower_and_strip_punctuation"):
            made = [t.lower() if t.isascii() else t.encode().lower().decode() for t in made]
        if self.standardize in ("strip_punctuation", "lower_and_strip_punctuation"):
            made = [t.translate(_NO_PUNCTUATION) for t in made]
        return np.array(made, object).reshape(texts.shape)

    def call(self, inputs: Any) -> Any:
        self._lookup_layer._require_vocabulary()
        shape = tuple(inputs.shape) if hasattr(inputs, "shape") else np.shape(inputs)
        if self.split is not None and len(shape) > 1 and (len(shape) > 2 or shape[1] not in (1, None)):
            raise ValueError(f"{self.name}: texts should have shape (batch,) or (batch, 1), not {shape}.")
        batch = shape[0] if shape else None
        rows = (self.output_sequence_length,) if self.output_mode == "int" else (None,)
        places = on_host(self._places, inputs, "int64", shape if self.split is None else (batch, *rows)[not shape :])
        return self._lookup_layer.encode(places)

    def _places(self, texts: np.ndarray) -> np.ndarray:
        """The words' numbers, padded."""
        if self.split is None and self.ngrams is None:
            return self._lookup_layer._numbers(self._standardized(texts))
        words = self._words(texts.reshape(-1))
        length = self.output_sequence_length
        if length is None:
            length = max((len(row) for row in words), default=0)
        made = np.full((len(words), length), 0 if self.output_mode == "int" else -1, "int64")
        for i, row in enumerate(words):
            row = row[:length]
            made[i, : len(row)] = self._lookup_layer._numbers(np.array(row, object))
        return made if texts.ndim else made[0]

    def compute_output_shape(self, input_shape: Any) -> tuple:
        shape = tuple(input_shape)
        if self.split is None:
            return self._lookup_layer.compute_output_shape(shape)
        if self.output_mode == "int":
            return (*shape[:1], self.output_sequence_length)
        return self._lookup_layer.compute_output_shape((*shape[:1], None))

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        dtype = self._lookup_layer._output_dtype()
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype, sparse=self.sparse)

    # -- files --------------------------------------------------------------------------

    def save_own_variables(self, store: Any) -> None:
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        self._lookup_layer.load_own_variables(store)

    def save_assets(self, dir_path: Any) -> None:
        """Writes the vocabulary, if the config does not have it, into a file in the folder."""
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: Any) -> None:
        """Reads the vocabulary from a folder that `save_assets` wrote to."""
        if Path(dir_path, FILE).is_file():
            self._lookup_layer.load_assets(dir_path)

    def get_config(self) -> dict:
        from kcore import saving

        def plain(value: Any) -> Any:
            return saving.serialize_keras_object(value) if callable(value) else value

        lookup = self._lookup_layer.get_config()
        return super().get_config() | {
            "max_tokens": self.max_tokens,
            "standardize": plain(self.standardize),
            "split": plain(self.split),
            **config_of(self, "ngrams", "output_mode", "output_sequence_length", "pad_to_max_tokens", "sparse"),
            "ragged": self.ragged,
            "vocabulary": lookup["vocabulary"],
            "idf_weights": lookup["idf_weights"],
            "encoding": self.encoding,
            "vocabulary_size": self.vocabulary_size(),
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Any:
        """The layer of a config. A vocabulary of its own comes with its assets."""
        from kcore import saving

        made = {k: v for k, v in config.items() if k != "vocabulary_size"}
        for name in ("standardize", "split"):
            if isinstance(made.get(name), dict):
                made[name] = saving.deserialize_keras_object(made[name], custom_objects=custom_objects)
        return cls(**made)
