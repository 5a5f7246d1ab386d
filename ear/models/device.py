"""What a device has room for, and how it says that it has none left."""

import errno
import re
from typing import Any

import torch

from ear.errors import InputError

OUT_OF_MEMORY = re.compile(
    r"(?:CUDA|HIP|XPU)\b[^\n]{0,40}\bout of memory\b"  # torch's own, the driver's, Triton's
    r"|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation"
    r"|(?:CUBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_\w*ALLOC(?:ATION)?_FAILED|CUFFT_ALLOC_FAILED"
    r"|CUDNN_STATUS_NOT_SUPPORTED"  # what cuDNN says of a batch that it has no room for; fewer items cure it
    r"|can't allocate memory|std::bad_alloc"  # the CPU's
)


def free_bytes(device: torch.device) -> int:
    """Bytes of a GPU that can still be allocated: free ones and those that torch's allocator holds unused."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error is a failed allocation, on whichever device, or was raised because of one.

    Torch has a class for one form of it alone: a library, a CUDA graph or a compiler's backend that finds no
    memory says so in the text of a RuntimeError, or of one that it wraps.
    """
    one: Any = error
    while one is not None and not isinstance(error, InputError):  # which has been dealt with
        if (
            isinstance(one, MemoryError | torch.OutOfMemoryError)
            or (isinstance(one, OSError) and one.errno == errno.ENOMEM)
            or (isinstance(one, RuntimeError) and OUT_OF_MEMORY.search(str(one)))
        ):
            return True
        before = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        one = getattr(one, "inner_exception", None) or before  # the former is a compiler's
    return False
