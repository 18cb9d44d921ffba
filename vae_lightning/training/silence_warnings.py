"""Importing this silences what Lightning says that the commands say themselves, or that does not hold here.

By import, since the processes that DDP spawns meet none of the program's own code before Lightning begins to talk.
"""

from __future__ import annotations

import logging
import warnings

import lightning.fabric
import lightning.pytorch  # noqa: F401  first, since each sets its logger's level when it is imported

for _name in ("lightning", "lightning.pytorch", "lightning.fabric"):
    logging.getLogger(_name).setLevel(logging.WARNING)

# that there is no CUDA, each time torch compiles something for a CPU
logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)

for _message in (
    ".*does not have many workers.*",  # a batch is one index operation: workers would slow it down
    ".*The number of training batches.*",  # short epochs are written at their end
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*sync_dist=True.*",  # what is logged was summed over the processes already
    ".*your dataloader is not resumable.*",  # its sampler skips what an interrupted epoch has had
    ".*GPU available but not used.*",  # trainer=cpu is a choice, and so is passing over a GPU of Apple's
    ".*LeafSpec.*is deprecated.*",  # Lightning 2.6 under torch 2.15
    "The .grad attribute of a Tensor that is not a leaf.*",  # by torch's compiler itself, where it compiles in pieces
):
    warnings.filterwarnings("ignore", message=_message)
