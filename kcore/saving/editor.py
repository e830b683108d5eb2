"""KerasFileEditor: looks into a file of weights, and changes it."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from kcore.saving import files, weights


class KerasFileEditor:
    """The weights of a `.keras` or `.weights.h5` file, to compare with a model, change and save.

    An object (a layer, an optimizer) is named by its path, "layers/dense", or by the last part of it where that is
    clear.

    Args:
        filepath: The file; it stays as it is.

    Attributes:
        weights_dict: Nested dictionaries: objects by name, in them their parts, and arrays by "0", "1"...
        object_metadata: "/" and the path of an object -> what the file notes of it.
        config, metadata: Of a `.keras` file; else None.

    Raises:
        ValueError: The file is none of these, or is damaged.
    """

    def __init__(self, filepath: Any) -> None:
        path = pathlib.Path(os.fspath(filepath))
        if not str(path).endswith((".keras", ".weights.h5")):
            raise ValueError(f"KerasFileEditor: {str(path)!r} should end in '.keras' or '.weights.h5'.")
        self.filepath = str(path)
        self.config: Any = None
        self.metadata: Any = None
        print(f"Keras model file {str(path)!r}")  # noqa: T201 - the editor is for people at a prompt, as Keras's is
        if path.suffix == ".keras":
            parts = files.read_parts(path)
            try:
                self.config, self.metadata = json.loads(parts[files.CONFIG]), json.loads(parts[files.METADATA])
                saved = f"Saved with Keras {self.metadata['keras_version']} - date: {self.metadata['date_saved']}"
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise ValueError(f"{path}: its config or metadata is damaged: {error}") from None
            print(saved)  # noqa: T201
            data = parts[files.WEIGHTS]
        else:
            data = files.weights_data(path)
        self.weights_dict: dict[str, Any] = {}
        self.object_metadata: dict[str, dict[str, str]] = {}
        with files.opened(data, path) as file:
            self._take(file)

    def _take(self, file: Any) -> None:
        import h5py

        def visit(name: str, item: Any) -> None:
            group, _, key = name.rpartition("/")
            if isinstance(item, h5py.Dataset):
                _at(self.weights_dict, _owner(group))[key] = weights.value_of(item)
            elif name.rpartition("/")[2] == "vars":
                path = _owner(name)
                if path:
                    _at(self.weights_dict, path)
                if item.attrs:
                    self.object_metadata[f"/{path}"] = {k: str(v) for k, v in item.attrs.items()}

        file.visititems(visit)

    # -- looking ------------------------------------------------------------------------

    def summary(self) -> None:
        """Prints the tree of objects and the shapes and dtypes of their weights."""
        from rich.console import Console
        from rich.text import Text
        from rich.tree import Tree

        tree = Tree("Weights structure")

        def grow(branch: Tree, held: dict[str, Any]) -> None:
            for name, value in held.items():
                if isinstance(value, dict):
                    grow(branch.add(Text(name)), value)
                else:
                    branch.add(Text(f"{name}: {_described(value)}"))

        grow(tree, self.weights_dict)
        Console(highlight=False, soft_wrap=True).print(tree)

    def compare(self, reference_model: Any) -> dict[str, Any]:
        """Compares the file with a built model, and prints what differs.

        Returns:
            "status", "success" or "error"; "error_count" and "match_count".
        """
        wanted = {path: weights.variables_of(item) for path, item in weights.walk(reference_model)}
        present = dict(_objects(self.weights_dict))
        problems: list[str] = []
        matches = 0
        for path, values in wanted.items():
            if path not in present:
                problems += [f"Object /{path} is in the model, but not in the file"] if values else []
                continue
            matches += 1
            for key in sorted({*values, *present[path]}):
                mine, theirs = present[path].get(key), values.get(key)
                if mine is None or theirs is None:
                    problems.append(f"Weight /{path}/{key} is only in the {'model' if mine is None else 'file'}")
                elif np.shape(mine) != np.shape(theirs):
                    shapes = f"{np.shape(theirs)} in the model, {np.shape(mine)} in the file"
                    problems.append(f"Weight /{path}/{key} has shape {shapes}")
                else:
                    matches += 1
        extra = [path for path, values in present.items() if path not in wanted and values]
        problems += [f"Object /{path} is in the file, but not in the model" for path in extra]
        for problem in problems:
            print(f"... {problem}")  # noqa: T201
        verdict = (
            f"{len(problems)} errors: the file does not fit the model"
            if problems
            else f"The file fits; {matches} matches"
        )
        print(verdict)  # noqa: T201
        return {"status": "error" if problems else "success", "error_count": len(problems), "match_count": matches}

    # -- changing -----------------------------------------------------------------------

    def rename_object(self, object_name: str, new_name: str) -> None:
        """Gives an object another name; `new_name` is its last part.

        Raises:
            ValueError: There is no such object, the name is not clear, or the new one is taken or a path.
        """
        path = self._path_of(object_name)
        if not new_name or "/" in new_name:
            raise ValueError(f"rename_object: new_name={new_name!r} should be a name, not a path.")
        parent, _, name = path.rpartition("/")
        siblings = _at(self.weights_dict, parent)
        if new_name in siblings:
            raise ValueError(f"rename_object: there is {new_name!r} in /{parent} already.")
        renamed = [(new_name if k == name else k, v) for k, v in siblings.items()]
        siblings.clear()
        siblings.update(renamed)
        target = f"{parent}/{new_name}" if parent else new_name
        for old in [k for k in self.object_metadata if f"{k}/".startswith(f"/{path}/")]:
            self.object_metadata[f"/{target}{old[len(path) + 1 :]}"] = self.object_metadata.pop(old)

    def delete_object(self, object_name: str) -> None:
        """Removes an object with all in it.

        Raises:
            ValueError: There is no such object, or the name is not clear.
        """
        path = self._path_of(object_name)
        parent, _, name = path.rpartition("/")
        del _at(self.weights_dict, parent)[name]
        for old in [k for k in self.object_metadata if f"{k}/".startswith(f"/{path}/")]:
            del self.object_metadata[old]

    def add_object(self, object_path: str, weights: dict[str, Any]) -> None:
        """Adds an object at a whole path, "layers/dense_3".

        Raises:
            ValueError: There is one, or `weights` is no dictionary of arrays.
        """
        path = object_path.strip("/")
        if not path or path in dict(_objects(self.weights_dict)):
            raise ValueError(f"add_object: there is an object /{path} already.")
        _at(self.weights_dict, path).update(_checked(weights, "add_object"))

    def add_weights(self, object_name: str, weights: dict[str, Any]) -> None:
        """Adds weights to an object, by key.

        Raises:
            ValueError: There is no such object, or it has one of these keys.
        """
        own = _at(self.weights_dict, self._path_of(object_name))
        added = _checked(weights, "add_weights")
        taken = sorted(set(own) & set(added))
        if taken:
            raise ValueError(f"add_weights: {object_name!r} has {', '.join(taken)} already.")
        own.update(added)

    def delete_weight(self, object_name: str, weight_name: str) -> None:
        """Removes one weight of an object.

        Raises:
            ValueError: There is no such object or weight.
        """
        own = _at(self.weights_dict, self._path_of(object_name))
        if not isinstance(own.get(weight_name), np.ndarray):
            keys = ", ".join(k for k, v in own.items() if not isinstance(v, dict)) or "none"
            raise ValueError(f"delete_weight: {object_name!r} has no weight {weight_name!r}; it has {keys}.")
        del own[weight_name]

    def save(self, filepath: Any) -> None:
        """Writes the weights to a `.weights.h5` file.

        Raises:
            ValueError: The ending is another.
        """
        import h5py

        path = pathlib.Path(os.fspath(filepath))
        if not str(path).endswith(".weights.h5"):
            raise ValueError(f"KerasFileEditor.save: {str(path)!r} should end in '.weights.h5'.")
        with files.atomic(path) as (made,), h5py.File(made, "w") as file:
            for name, values in _objects(self.weights_dict):
                noted = self.object_metadata.get(f"/{name}", {}).get("name", "")
                weights.write_values(file, name, noted, values)

    def resave_weights(self, filepath: Any) -> None:
        """As `save`."""
        self.save(filepath)

    def _path_of(self, name: str) -> str:
        known = [path for path, _ in _objects(self.weights_dict)]
        wanted = str(name).strip("/")
        if wanted in known:
            return wanted
        found = [path for path in known if path.rpartition("/")[2] == wanted]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(
                f"There are {len(found)} objects called {name!r}: {', '.join(found)}; give the whole path."
            )
        raise ValueError(f"There is no object {name!r}; there are {', '.join(p for p in known if p)}.")


def _owner(group: str) -> str:
    """The path of the object that a group of variables belongs to."""
    return group.removesuffix("vars").rstrip("/")


def _at(held: dict[str, Any], path: str) -> dict[str, Any]:
    """The dictionary at a path, made where there is none."""
    for part in filter(None, path.split("/")):
        held = held.setdefault(part, {})
    return held


def _objects(held: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """(path, own arrays) of everything, from the root."""
    yield path, {k: v for k, v in held.items() if not isinstance(v, dict)}
    for name, value in held.items():
        if isinstance(value, dict):
            yield from _objects(value, f"{path}/{name}" if path else name)


def _checked(values: Any, what: str) -> dict[str, np.ndarray]:
    if not isinstance(values, dict):
        raise ValueError(f"{what}: weights should be a dictionary of arrays by name ('0', '1', ...), not {values!r}.")
    return {str(k): np.asarray(v) for k, v in values.items()}


def _described(value: np.ndarray) -> str:
    from kcore import dtypes

    return f"shape={value.shape}, dtype={dtypes.name_of(value.dtype)}"
