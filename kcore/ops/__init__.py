"""kcore.ops: every op, whatever its family."""

from kcore.ops.create import *
from kcore.ops.elementwise import *
from kcore.ops.linalg import *
from kcore.ops.reduce import *
from kcore.ops.shape import *
