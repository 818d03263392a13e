"""Several releases of PoseTrack in one training set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmengine import dataset as mmengine_dataset
from mmpose.registry import DATASETS

from .body.posetrack_video_dataset import DATASET_NAMES, PoseTrackVideoDataset

IGNORED = ('dataset_name', 'images_of_boxless_videos')
"""Keys of the metainfo that may differ."""


_ROOM = 2**48  # above the annotation ids of PoseTrack


@DATASETS.register_module()
class ConcatDataset(mmengine_dataset.ConcatDataset):
    """MMEngine's ``ConcatDataset``, which also mixes releases of PoseTrack.

    MMEngine wants all metainfo to be equal. Datasets of PoseTrack17, 18 and 21 have the same
    joints, but each has its own ``dataset_name``. The mixture has that of the first.

    It is registered with MMPose under MMEngine's name, so that a config needs nothing else than
    ``type='ConcatDataset'``. For datasets of another kind it does what MMEngine's does.

    Args:
        datasets: datasets, or configs of datasets.
        lazy_init: as in MMEngine's.
        ignore_keys: as in MMEngine's.

    Raises:
        ValueError: if the datasets' metainfo differs in anything but the release of PoseTrack.
    """

    METAINFO: dict = PoseTrackVideoDataset.METAINFO
    """Where MMPose looks for the joints of a model trained on a mixture, if its checkpoint does not
    name them. Without it the joints would be COCO's."""

    def __init__(
        self,
        datasets: Sequence,
        lazy_init: bool = False,
        ignore_keys: str | list[str] | None = None,
    ) -> None:
        ignored = [ignore_keys] if isinstance(ignore_keys, str) else list(ignore_keys or [])
        super().__init__(datasets, lazy_init=True, ignore_keys=[*ignored, *IGNORED])
        names = {dataset.metainfo.get('dataset_name') for dataset in self.datasets}
        if len(names) > 1 and not names.issubset(DATASET_NAMES) and 'dataset_name' not in ignored:
            raise ValueError(
                f'ConcatDataset: the datasets are called {", ".join(sorted(map(str, names)))}, '
                'expected one dataset_name (releases of PoseTrack may be mixed), or '
                "ignore_keys=['dataset_name']"
            )
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Reads all datasets; videos without boxes are those of all of them.

        Datasets that number their samples, as those of detections, count on from numbers that no
        other has: a metric tells samples apart by them.
        """
        super().full_init()
        for place, dataset in enumerate(_leaves(self), start=1):
            if getattr(dataset, 'has_numbers', False):
                dataset.first_number = place * _ROOM
        key = 'images_of_boxless_videos'
        boxless = [image for dataset in self.datasets for image in dataset.metainfo.get(key, ())]
        if boxless:
            self._metainfo[key] = boxless


def _leaves(dataset) -> Iterator:
    """The datasets that others are made of: of mixtures of mixtures, and of wrapped ones."""
    parts = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    for part in parts:
        if part is None:
            yield dataset
        else:
            yield from _leaves(part)
