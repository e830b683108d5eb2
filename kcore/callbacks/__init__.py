"""kcore.callbacks."""

from kcore.callbacks.backup import BackupAndRestore, SwapEMAWeights
from kcore.callbacks.callback import Callback, CallbackList
from kcore.callbacks.csv_logger import CSVLogger
from kcore.callbacks.history import History
from kcore.callbacks.monitor import (
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from kcore.callbacks.progress import ProgbarLogger
from kcore.callbacks.remote import RemoteMonitor
