"""What a command raises when the user can put it right, and what the exit codes mean."""

from __future__ import annotations

from typing import ClassVar

EXIT_CODES = """\
exit codes:
  0    everything holds
  1    a backend disagrees; the output says where
  2    an argument is wrong, a framework or device is missing, or a file can't be written
  3    a file that was to be read is missing, damaged, or of another format version
  4    kcore itself broke; the traceback is for a bug report
  130  Ctrl-C; what was done by then is printed and written"""


class UserError(Exception):
    """Something the user can put right. Shown as `kcore: <sentence>`, with exit code `code`."""

    code: ClassVar[int] = 2


class DamagedFile(UserError):
    """A file that is missing, damaged, or of another format version."""

    code = 3
