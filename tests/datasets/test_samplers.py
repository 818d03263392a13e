"""The order in which a worker needs few frames: complete, seeded, mixed, and cheap to read."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine import fileio
from mmengine.dataset import ConcatDataset, RepeatDataset, pseudo_collate
from mmengine.registry import DefaultScope
from posetrack_samples import HEIGHT, WIDTH, person, write_coco_video
from torch.utils.data import DataLoader

from cmpose_mm.datasets import GroupedFrameSampler, PoseTrackVideoDataset
from cmpose_mm.datasets.samplers import interleaved, key_frames, shuffled_chunks


@dataclass
class KeyFrames:
    """Stands for a dataset: the key frame of each sample."""

    frames: list[tuple[str, int]]

    def __len__(self):
        return len(self.frames)

    def key_frames(self):
        return self.frames


def videos(num_videos=40, num_frames=12, num_persons=4) -> KeyFrames:
    return KeyFrames(
        [
            (f'video{v}', 50 + f)
            for v in range(num_videos)
            for f in range(num_frames)
            for _ in range(num_persons)
        ]
    )


def sampler(data, epoch=0, batch_size=4, num_workers=2, seed=3, **kwargs) -> GroupedFrameSampler:
    made = GroupedFrameSampler(
        data, seed=seed, batch_size=batch_size, num_workers=num_workers, **kwargs
    )
    made.set_epoch(epoch)
    return made


def of_workers(order: list[int], batch_size: int, num_workers: int) -> list[list[int]]:
    """What each worker of a data loader gets to make: batch by batch in turn."""
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    workers = range(max(num_workers, 1))
    return [[i for batch in batches[w :: len(workers)] for i in batch] for w in workers]


def decodes(order: list[int], frames: list[tuple[str, int]], room: int) -> int:
    """Frames that one worker decodes for clips of three frames, if it keeps the latest ``room``."""
    kept, count = [], 0
    for video, position in (frames[i] for i in order):
        for frame in ((video, position + offset) for offset in (-1, 0, 1)):
            if frame in kept:
                kept.remove(frame)
            else:
                count += 1
            kept = [*kept, frame][-room:]
    return count


random_frames = st.lists(
    st.tuples(st.sampled_from(['a', 'b', 'c']), st.integers(0, 6)), min_size=1, max_size=60
)


@settings(deadline=None)
@given(
    frames=random_frames,
    batch_size=st.integers(1, 9),
    num_workers=st.integers(0, 4),
    num_streams=st.integers(1, 8),
    chunk_size=st.integers(1, 20),
)
def test_every_sample_once_an_epoch(frames, batch_size, num_workers, num_streams, chunk_size):
    orders = sampler(
        KeyFrames(frames),
        batch_size=batch_size,
        num_workers=num_workers,
        num_streams=num_streams,
        chunk_size=chunk_size,
    )
    assert len(orders) == len(frames)
    assert sorted(orders) == list(range(len(frames)))


def test_order_follows_from_seed_and_epoch():
    data = videos()
    first = list(sampler(data, epoch=2))
    assert list(sampler(data, epoch=2)) == first
    torch.manual_seed(5)
    np.random.seed(5)
    assert list(sampler(data, epoch=2)) == first
    others = [sampler(data, epoch=3), sampler(data, epoch=2, seed=4)]
    for other in others:
        same = np.mean([a == b for a, b in zip(other, first)])
        assert same < 0.02


@given(frames=random_frames, chunk_size=st.integers(1, 30), seed=st.integers(0, 2**32 - 1))
def test_chunks_are_runs_of_whole_frames(frames, chunk_size, seed):
    names, numbers = np.unique([video for video, _ in frames], return_inverse=True)
    positions = np.array([position for _, position in frames])
    order = shuffled_chunks(numbers, positions, chunk_size, np.random.default_rng(seed))
    assert sorted(order) == list(range(len(frames)))
    found = [frames[i] for i in order]
    persons = Counter(frames)
    runs = [[found[0]]]
    for frame in found[1:]:
        last = runs[-1][-1]
        if frame == last:
            runs[-1].append(frame)
            continue
        # A frame begins only after all persons of the one before.
        assert runs[-1].count(last) == persons[last]
        following = sorted(f for f in persons if f[0] == last[0] and f > last)
        if following and frame == following[0]:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    assert runs[-1].count(found[-1]) == persons[found[-1]]
    # Each video of n samples is cut every `chunk_size` samples, from anywhere within a chunk.
    assert len(runs) <= sum(
        1 + -(-sum(f[0] == name for f in frames) // chunk_size) for name in names
    )


def test_chunks_are_shuffled_and_of_the_size_asked_for():
    data = videos(num_videos=200, num_frames=30, num_persons=4)
    numbers = np.repeat(np.arange(200), 120)
    positions = np.array([position for _, position in data.frames])
    starts = []
    for seed in range(3):
        order = shuffled_chunks(numbers, positions, 40, np.random.default_rng(seed))
        new = np.flatnonzero(
            (np.diff(numbers[order], prepend=-1) != 0) | (np.diff(positions[order], prepend=-1) < 0)
        )
        # 120 samples and a random phase: four chunks, or three where the phase is 0 (of 10).
        assert 3.8 * 200 < len(new) < 4 * 200
        sizes = np.diff([*new, len(order)])
        assert np.median(sizes) == 40
        assert (sizes > 40).mean() < 0.02  # two chunks of one video beside each other
        starts.append({(numbers[i], positions[i]) for i in order[new]})
        # Neighboring chunks are of other videos.
        assert (np.diff(numbers[order[new]]) != 0).mean() > 0.97
        assert abs(np.corrcoef(np.arange(len(new)), numbers[order[new]])[0, 1]) < 0.1
    assert len(starts[0] & starts[1]) < 0.4 * len(starts[0])
    persons_first = order[np.flatnonzero(np.diff(positions[order], prepend=-1) != 0)] % 4
    assert np.bincount(persons_first).min() > 0.8 * len(persons_first) / 4


@given(count=st.integers(0, 50), num_streams=st.integers(1, 12), seed=st.integers(0, 99))
def test_interleaved_takes_one_of_each_part_in_turn(count, num_streams, seed):
    sequence = np.arange(100, 100 + count)
    got = interleaved(sequence, num_streams, np.random.default_rng(seed)).tolist()
    streams = max(1, min(num_streams, count))
    borders = [part * count // streams for part in range(streams + 1)]
    parts = [sequence[a:b].tolist() for a, b in zip(borders, borders[1:])]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    while any(parts):
        expected = [part.pop(0) for part in parts if part]
        round_, got = got[: len(expected)], got[len(expected) :]
        assert sorted(round_) == sorted(expected)
    assert not got


def test_rounds_come_in_different_orders():
    got = interleaved(np.arange(4000), 4, np.random.default_rng(0)).reshape(-1, 4) // 1000
    assert len({tuple(row) for row in got}) == 24


@pytest.mark.parametrize('num_workers', [0, 1, 3])
def test_few_decodes_within_the_documented_memory(num_workers):
    """Room for (T - 1) * stride + 2 frames a stream, T = 3: as if nothing were ever forgotten."""
    data = videos()
    order = list(sampler(data, batch_size=5, num_workers=num_workers, num_streams=8))
    room = 8 * 4
    workers = of_workers(order, 5, num_workers)
    count = sum(decodes(w, data.frames, room) for w in workers)
    # Each frame once, and two more at the ends of each chunk: 40 videos of 48 samples have one or
    # two borders each; each stream begins in a chunk.
    borders = 2 * 40 + 8 * len(workers)
    assert 40 * 14 <= count <= 40 * 14 + 4 * borders
    random_order = np.random.RandomState(0).permutation(len(data)).tolist()
    at_random = sum(decodes(w, data.frames, room) for w in of_workers(random_order, 5, num_workers))
    assert at_random > 2.5 * len(data) > 4 * count


def test_batches_are_as_mixed_as_random_ones():
    data = videos(num_videos=300)
    order = list(sampler(data, batch_size=16, num_workers=2, num_streams=32))
    random_order = np.random.RandomState(0).permutation(len(data)).tolist()

    def distinct(order, part):
        batches = [order[i : i + 16] for i in range(0, len(order) - 15, 16)]
        return np.mean([len({data.frames[i][:part] for i in batch}) for batch in batches])

    assert distinct(order, 1) > distinct(random_order, 1) - 0.5 > 14
    assert distinct(order, 2) > distinct(random_order, 2) - 0.1 > 15.5
    # To the last batch: no video is left over.
    assert all(
        len({data.frames[i][0] for i in order[k : k + 16]}) >= 11 for k in range(0, 14400, 16)
    )


def ranks(rank, world_size, store, out):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{store}', rank=rank, world_size=world_size
    )
    for count in (1, 2, 7, 48, 50):
        for round_up in (True, False):
            made = sampler(KeyFrames(videos().frames[:count]), seed=None, round_up=round_up)
            out.put((count, round_up, rank, len(made), list(made)))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize('world_size', [2, 3])
def test_processes_share_an_epoch(tmp_path, world_size):
    """Real processes, without a common seed; sizes that can't be divided among them."""
    context = multiprocessing.get_context('fork')
    out = context.Queue()
    arguments = [(rank, world_size, str(tmp_path / 'store'), out) for rank in range(world_size)]
    processes = [context.Process(target=ranks, args=args) for args in arguments]
    for process in processes:
        process.start()
    found = [out.get(timeout=120) for _ in range(10 * world_size)]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    for count in (1, 2, 7, 48, 50):
        for round_up in (True, False):
            parts = [(n, order) for c, r, _, n, order in found if (c, r) == (count, round_up)]
            assert all(n == len(order) for n, order in parts)
            times = Counter(index for _, order in parts for index in order)
            assert set(times) == set(range(count))
            if round_up:
                assert {n for n, _ in parts} == {-(-count // world_size)}
                assert sum(times.values()) == -(-count // world_size) * world_size
            else:
                assert set(times.values()) == {1}
                assert max(n for n, _ in parts) - min(n for n, _ in parts) <= 1


def test_processes_decode_different_videos():
    """Each rank has its own part of the chunks, whatever the number of workers."""
    data = videos()
    parts = []
    for rank in range(2):
        made = sampler(data, num_workers=2)
        made.rank, made.world_size = rank, 2
        made.num_samples = made.total_size // 2
        parts.append(list(made))
    first, second = ({data.frames[i] for i in part} for part in parts)
    assert len(first & second) <= 1
    assert sorted(parts[0] + parts[1]) == list(range(len(data)))


def test_without_a_layout():
    made = GroupedFrameSampler(videos(), seed=0)
    with pytest.raises(ValueError, match='SamplerLayoutHook in default_hooks, or batch_size'):
        iter(made)
    made.set_layout(4, 0)
    assert len(list(made)) == len(videos())


@pytest.mark.parametrize('name', ['num_streams', 'chunk_size'])
def test_numbers_below_one(name):
    with pytest.raises(ValueError, match=f'{name} must be at least 1, got 0'):
        GroupedFrameSampler(videos(), seed=0, **{name: 0})


# ---- with real files ---------------------------------------------------------------------------


def pipeline(cache_size_mb: float, flip: str) -> list[dict]:
    codec = dict(type='UDPHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=2)
    return [
        dict(type='LoadClip', cache_size_mb=cache_size_mb),
        dict(type='GetBBoxCenterScale', padding=1.25),
        dict(type=flip),
        dict(type='RandomHalfBody'),
        dict(type='RandomBBoxTransform', scale_factor=(0.65, 1.35), rotate_factor=45),
        dict(type='TopdownAffine', input_size=(48, 64), use_udp=True),
        dict(type='ClipColorTransform', transform=dict(type='PhotometricDistortion')),
        dict(type='GenerateTarget', encoder=codec),
        dict(type='PackClipInputs'),
    ]


def dataset(root, cache_size_mb=0.0, flip='RandomFlip', **kwargs) -> PoseTrackVideoDataset:
    with DefaultScope.overwrite_default_scope('mmpose'):
        return PoseTrackVideoDataset(
            data_root=str(root),
            ann_file='annotations/train',
            pipeline=pipeline(cache_size_mb, flip),
            **kwargs,
        )


@pytest.fixture
def root(tmp_path):
    """Six videos of ten frames; two to four persons, in the third video's frames 2 and 5 none."""
    for v in range(6):
        persons = [[person(10 * v + p) for p in range(2 + v % 3)] for _ in range(10)]
        if v == 2:
            persons[2] = persons[5] = []
        write_coco_video(tmp_path, 'train', f'00000{v}_v', persons)
    return tmp_path


@pytest.fixture
def reads(monkeypatch):
    """How often files are read, in this process and in data workers."""
    count = multiprocessing.get_context('fork').Value('i', 0)
    read = fileio.get

    def counting(*args, **kwargs):
        with count.get_lock():
            count.value += 1
        return read(*args, **kwargs)

    monkeypatch.setattr(fileio, 'get', counting)
    return count


def epoch_of(data, order, num_workers) -> dict:
    """All samples of an epoch through a data loader, by annotation id."""
    data.set_epoch(4, seed=9)
    loader = DataLoader(
        data,
        batch_size=4,
        sampler=order,
        num_workers=num_workers,
        collate_fn=pseudo_collate,
        multiprocessing_context='fork' if num_workers else None,
    )
    found = {}
    for batch in loader:
        for inputs, sample in zip(batch['inputs'], batch['data_samples']):
            assert sample.metainfo['id'] not in found
            found[sample.metainfo['id']] = (
                inputs.numpy().tobytes(),
                sample.gt_fields.heatmaps.numpy().tobytes(),
                sample.metainfo['bbox'].tobytes(),
                tuple(sample.metainfo['frame_paths']),
            )
    return found


@pytest.mark.slow
def test_key_frames_of_a_dataset(root):
    data = dataset(root)
    found = key_frames(data)
    assert len(found) == len(data)
    for index, (folder, position) in enumerate(found):
        path = data[index]['data_samples'].metainfo['img_path']
        assert folder == os.path.dirname(path)
        assert sorted(os.listdir(folder))[position] == os.path.basename(path)
    both = ConcatDataset([data, dataset(root, indices=5)])
    assert key_frames(both) == found + found[:5]
    with pytest.raises(ValueError, match='ConcatDataset of some; got RepeatDataset'):
        GroupedFrameSampler(RepeatDataset(data, times=2), seed=0)


@pytest.mark.slow
@pytest.mark.parametrize('num_workers', [0, 2])
@pytest.mark.parametrize('kwargs', [{}, dict(stride=2, random_neighbors=True)])
def test_same_samples_from_fewer_reads(root, reads, num_workers, kwargs):
    """Bit for bit what a new process makes of each sample alone, cache and order or not."""
    plain = dataset(root, **kwargs)
    expected = epoch_of(plain, range(len(plain)), 0)
    at_random = reads.value
    streams, frame_bytes = 3, HEIGHT * WIDTH * 3
    window = 2 * kwargs.get('stride', 1) + 2
    data = dataset(
        root, streams * window * frame_bytes / 1e6, 'ClipRandomFlip', **kwargs
    )  # the documented amount
    made = sampler(data, batch_size=4, num_workers=num_workers, num_streams=streams)
    reads.value = 0
    found = epoch_of(data, made, num_workers)
    assert found == expected
    assert len({inputs for inputs, *_ in found.values()}) == len(found) == len(data)
    # 60 frames for 172 samples. Ends of chunks are read twice: there are few and short chunks here.
    assert at_random > 2.3 * len(data)
    assert reads.value < 0.9 * len(data)
    if num_workers == 0:
        cache = data.pipeline.transforms[0].cache
        assert 0 < cache.num_bytes <= cache.max_bytes


@pytest.mark.slow
def test_same_pixels_on_real_frames(real_data):
    root = real_data / 'posetrack_clip'
    plain, cached = dataset(root), dataset(root, 50, 'ClipRandomFlip')
    indices = range(0, 120, 7)
    flipped = 0
    for data in (plain, cached):
        data.set_epoch(1, seed=2)
    for index in indices:
        one, other = plain[index], cached[index]
        assert torch.equal(one['inputs'], other['inputs'])
        flipped += other['data_samples'].metainfo['flip']
    assert 0 < flipped < len(indices)


def test_persons_of_a_frame_come_in_random_order():
    orders = {
        tuple(shuffled_chunks(np.zeros(5, int), np.zeros(5, int), 40, np.random.default_rng(seed)))
        for seed in range(9)
    }
    assert len(orders) > 1 and all(sorted(order) == [*range(5)] for order in orders)
