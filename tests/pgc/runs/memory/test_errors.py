# SPDX-License-Identifier: Apache-2.0
"""Errors as the libraries word them, sorted: memory that ran out, a card that is lost, and neither."""

from __future__ import annotations

import errno

import numpy as np
import pytest
import torch

from pgc.errors import GuidanceError
from pgc.runs.memory.errors import is_broken_context, is_out_of_memory

_CUDA_NOTE = "\nCUDA kernel errors might be asynchronously reported at some other API call."
MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB"),
    torch.OutOfMemoryError("HIP out of memory. Tried to allocate 4.00 GiB. GPU 0 has a total capacity of 15.98 GiB"),
    torch.OutOfMemoryError(),
    RuntimeError(f"CUDA error: out of memory{_CUDA_NOTE}"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("HIP error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
    RuntimeError("CUDA error: CUSPARSE_STATUS_INSUFFICIENT_RESOURCES when calling `cusparseSpSV_bufferSize(`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
    RuntimeError("hipErrorOutOfMemory: out of memory"),
    RuntimeError("CUDA failure: cudaErrorMemoryAllocation"),
    RuntimeError("rocblas error: rocblas_status_memory_error"),
    RuntimeError("Failed to allocate 268435456 bytes on device 'cuda:0'"),
    RuntimeError("MPS backend out of memory (MPS allocated: 17.75 GB, other allocations: 512.00 KB, max: 18.13 GB)"),
    RuntimeError("Invalid buffer size: 64.00 GiB"),
    RuntimeError("command buffer exited: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)"),
    RuntimeError('[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can\'t allocate memory: "7"'),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 68719476736 bytes."),
    RuntimeError("unable to mmap 5135149760 bytes from file <model.safetensors>: Cannot allocate memory (12)"),
    MemoryError(),
    np._core._exceptions._ArrayMemoryError((9, 9), np.dtype("f8")),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    OSError("The paging file is too small for this operation to complete. (os error 1455)"),
]
BROKEN = [
    RuntimeError(f"CUDA error: an illegal memory access was encountered{_CUDA_NOTE}"),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA error: unspecified launch failure"),
    RuntimeError("CUDA error: misaligned address"),
    RuntimeError("CUDA error: the launch timed out and was terminated"),
    RuntimeError("CUDA error: uncorrectable ECC error encountered"),
    RuntimeError("CUDA error: unknown error"),
    RuntimeError("CUDA driver error: unspecified launch failure"),
    RuntimeError("HIP error: an illegal memory access was encountered"),
    RuntimeError("Warp CUDA error 700: an illegal memory access was encountered (in function wp_free_device_default)"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa, opb`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_MAPPING_ERROR"),
    RuntimeError("cuFFT error: CUFFT_EXEC_FAILED"),
]
NEITHER = [
    RuntimeError("CUDA error: no kernel image is available for execution on the device"),
    RuntimeError("CUDA error: invalid device ordinal"),
    RuntimeError("CUDA error: CUDA driver version is insufficient for CUDA runtime version"),
    RuntimeError("Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (4x3 and 4x3)"),
    RuntimeError("Torch not compiled with CUDA enabled"),
    ValueError("the prompt says: out of memory"),
    KeyError("memory"),
    OSError(errno.ENOSPC, "No space left on device"),
    GuidanceError("model could not be loaded (its file ends early)."),
]


def _wrapped(error: BaseException) -> BaseException:
    outer = GuidanceError("model could not be loaded")
    outer.__cause__ = error
    return outer


def _number(error: object) -> str:
    return f"{type(error).__name__}: {str(error)[:50]}"


@pytest.mark.parametrize("wrap", [lambda error: error, _wrapped], ids=["bare", "wrapped"])
@pytest.mark.parametrize("error", MEMORY, ids=_number)
def test_memory_that_ran_out(error, wrap) -> None:
    assert is_out_of_memory(wrap(error))
    assert not is_broken_context(wrap(error))


@pytest.mark.parametrize("wrap", [lambda error: error, _wrapped], ids=["bare", "wrapped"])
@pytest.mark.parametrize("error", BROKEN, ids=_number)
def test_a_card_that_is_lost(error, wrap) -> None:
    assert not is_out_of_memory(wrap(error))
    assert is_broken_context(wrap(error))


@pytest.mark.parametrize("error", NEITHER, ids=_number)
def test_neither(error) -> None:
    assert not is_out_of_memory(error)
    assert not is_broken_context(error)


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__context__, second.__context__ = second, first
    assert not is_out_of_memory(first)


def test_the_cpus_own_allocator_is_understood() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
