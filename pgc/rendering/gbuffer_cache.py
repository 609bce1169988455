# SPDX-License-Identifier: Apache-2.0
"""G-buffers of cameras seen before, the least recently used ones dropped when their memory is full."""

from collections import OrderedDict
from collections.abc import Hashable

from pgc.rendering.gbuffer import GBuffer

__all__ = ["GBufferCache"]


class GBufferCache:
    """A cache of single views, bounded by bytes. Not thread-safe."""

    def __init__(self, limit_bytes: int) -> None:
        """`limit_bytes`: the tensors kept never hold more than this together; 0 keeps nothing."""
        self._limit = limit_bytes
        self._used = 0
        self._views: OrderedDict[Hashable, GBuffer] = OrderedDict()

    def __len__(self) -> int:
        """Number of views kept."""
        return len(self._views)

    @property
    def nbytes(self) -> int:
        """Bytes that the kept views hold together."""
        return self._used

    def get(self, key: Hashable) -> GBuffer | None:
        """Returns the view kept under `key`, now the most recently used one, or None."""
        view = self._views.get(key)
        if view is not None:
            self._views.move_to_end(key)
        return view

    def put(self, key: Hashable, view: GBuffer) -> None:
        """Keeps `view` under `key`, dropping the least recently used ones for it; not if it alone is too large."""
        size = view.nbytes
        if size > self._limit:
            return
        previous = self._views.pop(key, None)
        self._used += size - (previous.nbytes if previous is not None else 0)
        self._views[key] = view
        while self._used > self._limit:
            _, dropped = self._views.popitem(last=False)
            self._used -= dropped.nbytes
