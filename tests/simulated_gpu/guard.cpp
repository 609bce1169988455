// SPDX-License-Identifier: Apache-2.0
// Device guards that do nothing. Without one, torch refuses any tensor that says it is on a graphics card.
#include <c10/core/impl/DeviceGuardImplInterface.h>

static c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::CUDA> cuda_guard;
static c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::MPS> mps_guard;

extern "C" void register_guards() {
  c10::impl::device_guard_impl_registry[(size_t)c10::DeviceType::CUDA].store(&cuda_guard);
  c10::impl::device_guard_impl_registry[(size_t)c10::DeviceType::MPS].store(&mps_guard);
}
