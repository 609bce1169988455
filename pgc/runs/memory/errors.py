# SPDX-License-Identifier: Apache-2.0
"""Which errors mean that memory ran out, and which that a graphics card cannot be used any more by this process.

Neither torch nor the libraries below it have one way to say it: the allocator raises torch.OutOfMemoryError, cuBLAS,
cuDNN, cuFFT and their AMD counterparts report a status of their own for their workspaces, the driver says
"CUDA error: out of memory" for what it needs itself, Warp and the CPU's allocator raise a plain RuntimeError. After
running out of memory a process goes on with less; after an illegal access every later call fails too, and only a new
process helps.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

import torch

__all__ = ["error_chain", "is_broken_context", "is_out_of_memory"]

_OUT_OF_MEMORY = re.compile(
    r"out of memory"  # CUDA, HIP and MPS, their allocators and drivers
    r"|(CUBLAS|CUSOLVER|CUSPARSE|HIPBLAS|HIPSOLVER|HIPSPARSE|CUDNN)_STATUS_ALLOC_FAILED"
    r"|CUDNN_STATUS_INTERNAL_ERROR_(HOST|DEVICE)_ALLOCATION_FAILED"
    r"|CUSPARSE_STATUS_INSUFFICIENT_RESOURCES"
    r"|(CUFFT|HIPFFT)_ALLOC_FAILED"
    r"|rocblas_status_memory_error"
    r"|(cuda|hip)Error(MemoryAllocation|OutOfMemory)"
    r"|Failed to allocate \d+ bytes"  # Warp
    r"|Invalid buffer size: "  # MPS, for a single tensor beyond what Metal gives
    r"|kIOGPUCommandBufferCallbackErrorOutOfMemory|Insufficient Memory"
    r"|can't allocate memory|not enough memory: you tried to allocate"  # the CPU's allocator; on Windows
    r"|[Cc]annot allocate memory"  # mmap of weights
    r"|paging file is too small",  # the same on Windows
)
_BROKEN = re.compile(
    r"(CUDA|HIP)( driver)? error\b"  # torch, and Warp's "Warp CUDA error 700: …"
    r"|(CUBLAS|HIPBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_"
    r"(NOT_INITIALIZED|EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR|UNKNOWN_ERROR)"
    r"|(CUFFT|HIPFFT)_(EXEC_FAILED|INTERNAL_ERROR)"
    r"|(cuda|hip)Error(LaunchFailure|IllegalAddress|Assert|Unknown|ECCUncorrectable)"
    r"|device-side assert"
)
_OF_THE_INSTALLATION = re.compile(
    r"no kernel image is available|driver version is insufficient|invalid device ordinal|no CUDA-capable device"
)
"""Errors of a card that never worked: another process would meet them again."""
_PAGING_FILE = 1455


def error_chain(error: BaseException) -> Iterator[BaseException]:
    """Yields an error and what it came from, each once."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError) and (error.errno == errno.ENOMEM or getattr(error, "winerror", 0) == _PAGING_FILE):
        return True
    return isinstance(error, RuntimeError | OSError) and _OUT_OF_MEMORY.search(str(error)) is not None


def is_out_of_memory(error: BaseException) -> bool:
    """Says whether memory ran out, the graphics card's or this machine's: the process may go on with a smaller plan."""
    return any(_is_memory(cause) for cause in error_chain(error))


def is_broken_context(error: BaseException) -> bool:
    """Says whether the graphics card is unusable from now on in this process: an illegal access, a failed assertion and
    the like."""
    if is_out_of_memory(error):
        return False
    return any(
        isinstance(cause, RuntimeError)
        and _BROKEN.search(str(cause)) is not None
        and _OF_THE_INSTALLATION.search(str(cause)) is None
        for cause in error_chain(error)
    )
