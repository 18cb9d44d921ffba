"""Importing this module silences Lightning's messages that are wrong here, or that the commands print themselves.

It does so on import because processes spawned by DDP run none of our code before Lightning prints its first message.
"""

from __future__ import annotations

import logging
import warnings

import lightning.fabric
import lightning.pytorch  # noqa: F401  first: each sets the level of its logger on import

for _name in ("lightning", "lightning.pytorch", "lightning.fabric"):
    logging.getLogger(_name).setLevel(logging.WARNING)

# each time it compiles something for a CPU, torch says that there is no CUDA
logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)

for _message in (
    ".*does not have many workers.*",  # a batch is one index operation: workers would only slow it down
    ".*The number of training batches.*",  # short epochs are logged at their end
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*sync_dist=True.*",  # logged values have been summed over the processes
    ".*your dataloader is not resumable.*",  # its sampler skips the batches of an interrupted epoch
    ".*GPU available but not used.*",  # trainer=cpu is a choice, and Apple's GPUs are not used on purpose
    ".*overridden `on_before_batch_transfer` in `LightningModule` but.*",  # it passes our own batches as they are
    ".*LeafSpec.*is deprecated.*",  # Lightning 2.6 under torch 2.15
    "The .grad attribute of a Tensor that is not a leaf.*",  # from torch's compiler itself, when it compiles in pieces
):
    warnings.filterwarnings("ignore", message=_message)
