"""The percentage of correct keypoints in MMPose's runner."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.logging import MMLogger
from mmpose.registry import METRICS

from cmpose_mm.evaluation.pck import PCK_NORMS, PCK_THRESHOLDS, check_pck, correct_keypoints
from cmpose_mm.evaluation.protocol import Protocol
from cmpose_mm.evaluation.report import format_pck, pck_to_dict
from cmpose_mm.evaluation.scored_frames import ScoredSet

from .posetrack_metric import PoseTrackMetric

_NO_SETTINGS = ('tie_break', 'visibility', 'reach', 'stride')
_MEANS = {'Total': '', 'mean13': ' mean13', 'mean7': ' mean7'}


@METRICS.register_module()
class PoseTrackPCK(PoseTrackMetric):
    """Percentage of correct keypoints on labels of PoseTrack's form, such as converted JHMDB.

    Reads labels and samples as `PoseTrackMetric` does, which it may stand beside in a list of
    evaluators, and measures as `correct_keypoints` does: joints by name, hits strictly below the
    threshold, absent joints not counted. By the box it equals MMPose's ``PCKAccuracy``. (That one's
    torso is the distance of the joints in places 4 and 5, which are no torso here.)

    Emits ``PCK@0.1`` for the box, ``tPCK@0.1`` for the torso and ``PCKh@0.1`` for the head size, at
    each threshold: the mean over all labeled joints, in percent. ``PCK@0.1 mean13`` and ``PCK@0.1
    mean7`` are the other two means, see `summarize_pck`. The log has the groups.

    Args:
        ann_file, protocol, pred_converter, dataset, collect_device, prefix, settings: see
            `PoseTrackMetric`, which has four more (tie_break, visibility, reach, stride) that are
            of AP and recall; of the protocol what decides which persons are scored. Settings may
            be ``format_only`` and ``outfile_prefix``, too.
        norms, thresholds, visible_only: see `correct_keypoints`.

    Raises:
        ValueError: see `PoseTrackMetric` and `correct_keypoints`.
    """

    need_head_boxes = False  # whoever has none does not count by the head size, and the log says so

    def __init__(
        self,
        ann_file: str | None = None,
        *,
        norms: Sequence[str] = ('box',),
        thresholds: Sequence[float] = PCK_THRESHOLDS,
        visible_only: bool = False,
        protocol: str | dict | Protocol = 'dcpose',
        pred_converter: dict | None = None,
        dataset: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        **settings,
    ) -> None:
        useless = [name for name in _NO_SETTINGS if name in settings]
        if useless:
            raise ValueError(
                f'PoseTrackPCK has no {", ".join(useless)}, which PoseTrackMetric has for AP and '
                'recall; expected it there.'
            )
        super().__init__(
            ann_file,
            protocol=protocol,
            pred_converter=pred_converter,
            dataset=dataset,
            collect_device=collect_device,
            prefix=prefix,
            **settings,
        )
        if isinstance(norms, str):
            norms = (norms,)
        for norm in norms:
            check_pck(norm, thresholds)
        self.norms, self.thresholds, self.visible_only = norms, thresholds, visible_only

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Scores the samples of all processes; see the class for what comes out."""
        metrics = {}
        scored = self.select_scored(results)
        if scored is None:
            return {}
        for norm in self.norms:
            result = correct_keypoints(
                scored, norm, self.thresholds, visible_only=self.visible_only
            )
            MMLogger.get_current_instance().info('\n' + format_pck(pck_to_dict(result)))
            for name, row in result.summary().items():
                metrics.update({name + suffix: row[mean] for mean, suffix in _MEANS.items()})
        return metrics

    def _result_names(self) -> list[str]:
        return [
            f'{PCK_NORMS[norm]}@{threshold:g}{suffix}'
            for norm in self.norms
            for threshold in self.thresholds
            for suffix in _MEANS.values()
        ]

    def select_scored(self, results: list[dict]) -> ScoredSet | None:
        """As `PoseTrackMetric`; where labels do not tell the size of an image, its sample does."""
        self.read_labels()
        for result in results:
            _, frame = self._frames.get(result['img_id'], (None, None))
            if frame is not None and frame.width is None and result['ori_shape'] is not None:
                frame.height, frame.width = map(int, result['ori_shape'][:2])
        return super().select_scored(results)
