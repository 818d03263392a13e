"""Sample orders that place samples with common frames close together.

N samples, each of one person in one key frame; W data workers per process; B samples per batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from mmengine.dataset import DefaultSampler
from mmpose.registry import DATA_SAMPLERS
from torch.utils.data import ConcatDataset


@DATA_SAMPLERS.register_module()
class GroupedFrameSampler(DefaultSampler):
    """`DefaultSampler` with an order in which a data worker decodes each frame only once.

    In a random order, a frame has long left a worker's cache when the next person in it comes up.
    Here videos are cut into *chunks* of consecutive key frames, the chunks are shuffled, and each
    worker reads ``num_streams`` chunks at once, one person from each in turn::

        stream 1   video 7: frame 3, persons b a c | frame 4, persons c a b | ...  video 2: ...
        stream 2   video 5: frame 9, person  d     | frame 10, person d     | ...  video 9: ...
        stream 3   ...

        worker's samples   7.3b 5.9d ...  |  5.10d 7.3a ...  |  7.3c ...    (a round | a round ...)

    So all samples of a batch come from different places in the data (if ``num_streams`` is at least
    B), while each stream needs only the frames of its current clip. ``LoadClip(cache_clips=...)``
    keeps these frames if it has room for ``num_streams`` clips, of (T - 1) * stride + 2 frames of
    H * W * 3 bytes each. With less room the samples are the same, but frames are decoded again.

    As with `DefaultSampler`, every sample comes once per epoch (``round_up`` repeats some, so that
    all processes get the same number), and the order depends on seed and epoch. It also depends on
    the number of processes, on W and on B: batches go to the workers in turn, so the sampler must
    know W and B. `SamplerLayoutHook` passes them before each epoch; with another runner, give both
    here or call `set_layout`.

    Args:
        dataset: a dataset with ``key_frames()`` (see `PoseTrackVideoDataset.key_frames`), or a
            ``ConcatDataset`` of such datasets.
        seed: as in `DefaultSampler`.
        round_up: as in `DefaultSampler`.
        num_streams: chunks that a worker reads at once.
        chunk_size: approximate number of samples in a chunk; frames are not split. Each chunk costs
            T - 1 more decoded frames at its ends, but longer chunks keep a video in the stream for
            longer.
        batch_size: B, for each process.
        num_workers: W; 0 to load in the process itself.

    Raises:
        ValueError: for numbers below 1, or a dataset without known key frames.
    """

    def __init__(
        self,
        dataset,
        seed: int | None = None,
        round_up: bool = True,
        num_streams: int = 32,
        chunk_size: int = 40,
        batch_size: int | None = None,
        num_workers: int | None = None,
    ) -> None:
        super().__init__(dataset, shuffle=True, seed=seed, round_up=round_up)
        for name, value in dict(num_streams=num_streams, chunk_size=chunk_size).items():
            if value < 1:
                raise ValueError(f'GroupedFrameSampler: {name} must be at least 1, got {value}')
        self.num_streams = num_streams
        self.chunk_size = chunk_size
        self.batch_size = batch_size
        self.num_workers = num_workers
        frames = key_frames(dataset)[: len(dataset)]  # MMEngine may truncate a dataset
        _, self._videos = np.unique([video for video, _ in frames], return_inverse=True)
        self._positions = np.array([position for _, position in frames])

    def set_layout(self, batch_size: int, num_workers: int) -> None:
        """Adapts the order to a data loader.

        Args:
            batch_size: samples per batch in this process.
            num_workers: data workers of this process, 0 for none.
        """
        self.batch_size, self.num_workers = batch_size, num_workers

    def __iter__(self) -> Iterator[int]:
        """This process's samples for the epoch.

        Raises:
            ValueError: if batch size or number of workers are not known.
        """
        if self.batch_size is None or self.num_workers is None:
            raise ValueError(
                'GroupedFrameSampler does not know the data loader: expected SamplerLayoutHook in '
                'default_hooks, or batch_size and num_workers among the arguments of the sampler'
            )
        rng = np.random.default_rng([self.seed, self.epoch])
        order = shuffled_chunks(self._videos, self._positions, self.chunk_size, rng)
        order = np.resize(order, self.total_size)  # repeats the first ones
        smaller, larger = divmod(self.total_size, self.world_size)
        start = self.rank * smaller + min(self.rank, larger)
        mine = order[start : start + self.num_samples]

        # Worker k % W loads batch k.
        worker = np.arange(len(mine)) // self.batch_size % max(self.num_workers, 1)
        places = np.argsort(worker, kind='stable')
        ends = np.flatnonzero(np.diff(worker[places])) + 1
        indices = np.empty_like(mine)
        indices[places] = np.concatenate(
            [interleaved(part, self.num_streams, rng) for part in np.split(mine, ends)]
        )
        return iter(indices.tolist())


def key_frames(dataset) -> list[tuple[str, int]]:
    """Video and position of the key frame of each sample, see `PoseTrackVideoDataset.key_frames`.

    Raises:
        ValueError: if the dataset has no ``key_frames`` and is not a ``ConcatDataset`` of datasets
            that do.
    """
    if hasattr(dataset, 'key_frames'):
        return dataset.key_frames()
    if isinstance(dataset, ConcatDataset):
        return [frame for part in dataset.datasets for frame in key_frames(part)]
    raise ValueError(
        'GroupedFrameSampler needs a PoseTrackVideoDataset, or a ConcatDataset of some; got '
        f'{type(dataset).__name__} (DefaultSampler takes any dataset)'
    )


def shuffled_chunks(
    videos: np.ndarray, positions: np.ndarray, chunk_size: int, rng: np.random.Generator
) -> np.ndarray:
    """Shuffles runs of key frames, each run in temporal order.

    Args:
        videos: (N,) numbers 0, 1, ... of the samples' videos.
        positions: (N,) positions of their key frames in the video.
        chunk_size: approximate number of samples in a chunk. A video's first chunk has a random
            length, so that the borders differ each time; no border splits a frame.
        rng: source of randomness.

    Returns:
        (N,) indices of samples: chunks in random order, frames ascending within a chunk, persons in
        random order within a frame.
    """
    order = np.lexsort((rng.random(len(videos)), positions, videos))
    video, position = videos[order], positions[order]
    new_video = np.diff(video, prepend=-1) != 0
    new_frame = new_video | (np.diff(position, prepend=-1) != 0)
    index = np.arange(len(order))
    start_of_frame = np.maximum.accumulate(np.where(new_frame, index, 0))
    start_of_video = np.maximum.accumulate(np.where(new_video, index, 0))
    phase = rng.integers(chunk_size, size=new_video.sum())[video]
    chunk_in_video = (start_of_frame - start_of_video + phase) // chunk_size
    chunk = np.cumsum(new_video | (np.diff(chunk_in_video, prepend=-1) != 0)) - 1
    place = rng.permutation(chunk.max(initial=-1) + 1)
    return order[np.argsort(place[chunk], kind='stable')]


def interleaved(sequence: np.ndarray, num_streams: int, rng: np.random.Generator) -> np.ndarray:
    """Reads equal parts of a sequence in parallel: one item from each part in turn.

    Args:
        sequence: (n,) items.
        num_streams: number of parts; a shorter sequence has as many parts as items.
        rng: draws a new order of the parts for every round.

    Returns:
        (n,) the same items. Each round takes the next item of every part.
    """
    count = len(sequence)
    streams = min(num_streams, count)
    starts = np.arange(streams) * count // max(streams, 1)
    index = np.arange(count)
    step = index - starts[np.searchsorted(starts, index, side='right') - 1]
    return sequence[np.lexsort((rng.random(count), step))]
