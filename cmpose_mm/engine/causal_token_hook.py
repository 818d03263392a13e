"""Explanations of predictions in TensorBoard and the other visualization backends."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from mmengine import fileio
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import HOOKS
from mmpose.structures import PoseDataSample

from cmpose_mm.images import read_image
from cmpose_mm.joint_sets import JointSet
from cmpose_mm.posetrack.joints import JOINT_NAMES
from cmpose_mm.visualization import explain
from cmpose_mm.visualization.layout import stack, text_line

from .bare_model import bare_model


@HOOKS.register_module()
class CausalTokenVisualizationHook(Hook):
    """Draws, during validation, the details of the method's decisions for some persons.

    One line in a config turns it on; the pictures go to the visualizer's backends::

        default_hooks = dict(explain=dict(type='CausalTokenVisualizationHook'))
        visualizer = dict(vis_backends=[dict(type='LocalVisBackend'),
                                        dict(type='TensorboardVisBackend')])

    The pictures are named ``causal_tokens_00000``, after the sample's position in the validation
    data. Their step is the training iteration, so each validation adds a step to the same pictures.
    With several processes, the first one draws from its own share of the data.

    During validation the hook turns on ``test_cfg.output_details`` of the model. If the method has
    no details (for example CM-Pose with ``fte=None``), the hook says so once and draws nothing.

    Args:
        interval: draw every ``interval``-th sample, starting with the first.
        max_samples: draw at most this many in each validation.
        joint: joint to draw for details with a heat map for each joint; one of `JOINT_NAMES`. If
            the data do not have it, their first joint is drawn, and the log says so.
        score_thr: joints below this score are left out of the pose.
        backend_args: how to read the images, as in `LoadClip`.

    Raises:
        ValueError: if an argument is outside its range.
    """

    def __init__(
        self,
        interval: int = 100,
        max_samples: int = 8,
        joint: str = 'right_wrist',
        score_thr: float = 0.2,
        backend_args: dict | None = None,
    ) -> None:
        for name, value in (('interval', interval), ('max_samples', max_samples)):
            if value < 1:
                raise ValueError(
                    f'CausalTokenVisualizationHook: {name} is {value}, expected at least 1'
                )
        if joint not in JOINT_NAMES:
            raise ValueError(
                f'CausalTokenVisualizationHook: joint is {joint!r}, expected one of '
                f'{", ".join(JOINT_NAMES)}'
            )
        self.interval = interval
        self.max_samples = max_samples
        self.joint = joint
        self.score_thr = score_thr
        self.backend_args = backend_args
        self._seen = 0
        self._test_cfg = None

    def before_val_epoch(self, runner: Runner) -> None:
        """Resets the count and asks the model for details."""
        self._seen = 0
        model = bare_model(runner)
        self._test_cfg = model.test_cfg
        model.test_cfg = model.test_cfg.copy()
        model.test_cfg['output_details'] = True

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Restores the model's test settings."""
        bare_model(runner).test_cfg = self._test_cfg

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[PoseDataSample] = (),
    ) -> None:
        """Draws the batch's samples that `interval` and `max_samples` select."""
        for index, sample in enumerate(outputs, start=self._seen):
            if index % self.interval == 0 and index // self.interval < self.max_samples:
                self._draw(runner, index, sample)
        self._seen += len(outputs)

    def _draw(self, runner: Runner, index: int, sample: PoseDataSample) -> None:
        if not is_main_process():  # only the first process has backends to write to
            return
        if not sample.metainfo.get('detail_kinds'):
            runner.logger.warning(  # MMEngine's logger writes repeated warnings only once
                'CausalTokenVisualizationHook draws nothing: the method gives no details about its '
                'decisions.'
            )
            return
        read = partial(fileio.get, backend_args=self.backend_args)
        image = read_image(sample.img_path, read=read)
        joints = JointSet.from_meta(runner.val_dataloader.dataset.metainfo)
        joint = self.joint
        if joint not in joints.joints:
            joint = joints.joints[0]
            runner.logger.warning(
                f'CausalTokenVisualizationHook: the data has no {self.joint}; {joint} is drawn.'
            )
        sample = sample.clone()
        sample.set_metainfo(dict(joint_set=joints))
        explanation = explain(sample, image, joint=joint, score_thr=self.score_thr)
        picture = explanation.picture()
        title = ', '.join(
            f'{name.replace("_", " ")} {sample.metainfo[name]}'
            for name in ('video', 'frame_number', 'track_id')
            if name in sample.metainfo
        )
        picture = stack([text_line(title or sample.img_path, picture.shape[1]), picture])
        runner.visualizer.add_image(
            f'causal_tokens_{index:05d}', picture[..., ::-1].copy(), step=runner.iter
        )
