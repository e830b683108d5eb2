"""kcore.ops: every op, whatever its family."""

from kcore.ops import image
from kcore.ops.activate import *
from kcore.ops.attention import *
from kcore.ops.control import *
from kcore.ops.conv import *
from kcore.ops.convert import *
from kcore.ops.create import *
from kcore.ops.decompose import *
from kcore.ops.differentiate import *
from kcore.ops.elementwise import *
from kcore.ops.fourier import *
from kcore.ops.fused import *
from kcore.ops.index import *
from kcore.ops.join import *
from kcore.ops.linalg import *
from kcore.ops.loss import *
from kcore.ops.normalize import *
from kcore.ops.pool import *
from kcore.ops.recurrent import *
from kcore.ops.reduce import *
from kcore.ops.segment import *
from kcore.ops.sequence import *
from kcore.ops.shape import *
from kcore.ops.sort import *
from kcore.ops.special import *
from kcore.ops.statistics import *
from kcore.ops.vectorize import *

from kcore.ops import sparse  # isort: skip - after all the ops
from kcore.ops.namespaces import linalg, nn, numpy  # isort: skip - as above
