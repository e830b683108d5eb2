"""kcore.mixed_precision: older names of the dtype policies."""

from kcore.dtype_policies import DTypePolicy, dtype_policy, set_dtype_policy
from kcore.optimizers import LossScaleOptimizer

Policy = DTypePolicy
global_policy = dtype_policy
set_global_policy = set_dtype_policy
