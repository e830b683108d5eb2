"""Config: settings as attributes, which can be frozen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


class Config:
    """Settings that are attributes and items alike.

    Args:
        **kwargs: The first ones.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.__dict__["_config"], self.__dict__["_frozen"] = dict(kwargs), False

    def freeze(self) -> None:
        """From now on a change is a ValueError."""
        self.__dict__["_frozen"] = True

    def unfreeze(self) -> None:
        """Changes are possible again."""
        self.__dict__["_frozen"] = False

    @property
    def frozen(self) -> bool:
        return self.__dict__["_frozen"]

    def _changeable(self) -> dict[str, Any]:
        if self.frozen:
            raise ValueError("The config is frozen; unfreeze() it to change it.")
        return self.__dict__["_config"]

    def as_dict(self) -> dict[str, Any]:
        """A copy."""
        return dict(self.__dict__["_config"])

    def to_json(self) -> str:
        return json.dumps(self.__dict__["_config"])

    def keys(self) -> Any:
        return self.__dict__["_config"].keys()

    def values(self) -> Any:
        return self.__dict__["_config"].values()

    def items(self) -> Any:
        return self.__dict__["_config"].items()

    def get(self, keyname: str, value: Any = None) -> Any:
        return self.__dict__["_config"].get(keyname, value)

    def pop(self, *args: Any) -> Any:
        return self._changeable().pop(*args)

    def update(self, *args: Any, **kwargs: Any) -> None:
        self._changeable().update(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        config = self.__dict__.get("_config", {})
        if name not in config:
            raise AttributeError(f"The config has no {name!r}; it has {', '.join(config) or 'nothing'}.")
        return config[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self._changeable()[name] = value

    def __getitem__(self, key: str) -> Any:
        return self.__dict__["_config"][key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._changeable()[key] = value

    def __contains__(self, key: str) -> bool:
        return key in self.__dict__["_config"]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__["_config"])

    def __len__(self) -> int:
        return len(self.__dict__["_config"])

    def __repr__(self) -> str:
        return f"<Config {self.__dict__['_config']}>"
