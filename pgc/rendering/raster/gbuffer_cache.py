# SPDX-License-Identifier: Apache-2.0
"""G-buffers of cameras seen before, the least recently used ones dropped when their memory is full."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from pgc.cameras import Camera
from pgc.rendering.raster.gbuffer import GBuffer

__all__ = ["GBufferCache", "KeptView"]


@dataclass(frozen=True, slots=True, eq=False)
class KeptView:
    """One view of a kept batch: the batch and the view's index in it."""

    batch: GBuffer
    index: int


class GBufferCache:
    """A cache of views, kept and dropped by the batch in which they were rendered. Bounded by bytes; not thread-safe.

    By the batch, since a copy of each view costs as much as a sixth of its tracing, and most views are never asked
    for again.
    """

    def __init__(self, limit_bytes: int) -> None:
        """`limit_bytes`: the tensors kept never hold more than this together; 0 keeps nothing."""
        self._limit = limit_bytes
        self._used = 0
        self._views: dict[Hashable, KeptView] = {}
        self._batches: OrderedDict[int, tuple[GBuffer, tuple[Hashable, ...]]] = OrderedDict()

    def __len__(self) -> int:
        """Number of views kept."""
        return len(self._views)

    @property
    def nbytes(self) -> int:
        """Bytes that the kept batches hold together."""
        return self._used

    def render(
        self,
        cameras: Sequence[Camera],
        resolution: tuple[int, int],
        draw: Callable[[Sequence[Camera], tuple[int, int]], GBuffer],
    ) -> GBuffer:
        """Returns the views of cameras; those that are not kept are drawn together, each once, and then kept."""
        keys = [(camera.key(), resolution) for camera in cameras]
        views = {key: self.get(key) for key in keys}
        missing = {key: camera for key, camera in zip(keys, cameras, strict=True) if views[key] is None}
        if missing:
            drawn = draw(list(missing.values()), resolution)
            self.put(list(missing), drawn)
            views.update({key: KeptView(drawn, index) for index, key in enumerate(missing)})
        return _join([view for view in (views[key] for key in keys) if view is not None])

    def get(self, key: Hashable) -> KeptView | None:
        """Returns the view kept under `key`, its batch now the most recently used one, or None."""
        view = self._views.get(key)
        if view is not None:
            self._batches.move_to_end(id(view.batch))
        return view

    def put(self, keys: Sequence[Hashable], batch: GBuffer) -> None:
        """Keeps a batch, one key a view, dropping the least recently used ones for it; not if it alone is too large.

        A key that is kept already then means the new view.
        """
        if batch.nbytes > self._limit:
            return
        self._used += batch.nbytes
        self._batches[id(batch)] = (batch, tuple(keys))
        self._views.update({key: KeptView(batch, index) for index, key in enumerate(keys)})
        while self._used > self._limit:
            _, (dropped, names) = self._batches.popitem(last=False)
            self._used -= dropped.nbytes
            for name in names:
                if name in self._views and self._views[name].batch is dropped:
                    del self._views[name]


def _join(views: Sequence[KeptView]) -> GBuffer:
    """The views as one buffer; without a copy where they are one batch as it was rendered."""
    batch = views[0].batch
    if len(views) == len(batch) and all(view.batch is batch and view.index == i for i, view in enumerate(views)):
        return batch
    return GBuffer.cat([view.batch.select([view.index]) for view in views])
