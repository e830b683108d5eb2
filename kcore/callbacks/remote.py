"""RemoteMonitor: reports epochs to a server."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np

from kcore.callbacks.callback import Callback


class RemoteMonitor(Callback):
    """Posts what each epoch reports to a server; one that can't be reached is a warning.

    Args:
        root, path: The address, in two parts.
        field: The form's field that has the JSON, unless `send_as_json`.
        headers: HTTP headers.
        send_as_json: Whether the body is JSON rather than a form.

    Raises:
        ImportError: The package requests is not installed.
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        self.root, self.path, self.field, self.headers, self.send_as_json = root, path, field, headers, send_as_json

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        try:
            import requests
        except ImportError:
            raise ImportError("RemoteMonitor needs the package requests: pip install requests.") from None
        report = {"epoch": epoch}
        for key, value in (logs or {}).items():
            report[key] = np.asarray(value).tolist()
        body: dict[str, Any] = {"json": report} if self.send_as_json else {"data": {self.field: json.dumps(report)}}
        try:
            requests.post(self.root + self.path, headers=self.headers, timeout=30, **body)
        except requests.exceptions.RequestException as error:
            warnings.warn(f"RemoteMonitor: {self.root} can't be reached: {error}", stacklevel=2)
