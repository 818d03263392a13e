"""A number of the model that changes in the course of the training."""

from __future__ import annotations

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import HOOKS

from .bare_model import bare_model


@HOOKS.register_module()
class ModelScheduleHook(Hook):
    """Sets an attribute of the model before each training step, by the part of training done.

    For weights of losses that come in late, or ratios that are annealed::

        default_hooks = dict(
            mi=dict(type='ModelScheduleHook', attribute='method.mi_weight',
                    values={0.0: 0.0, 0.25: 0.0, 0.5: 0.3}))

    Between two of the parts the value is linear, before the first and after the last it is that of
    the first or last. The part is iterations done over all iterations, so it is the same in runs by
    epochs and by iterations, and in a resumed run. After training the model of the config is built
    with the config's own value: give it the last one there.

    Args:
        attribute: Path of a number below the model, with dots.
        values: Part of the training, from 0 to 1 -> value.

    Raises:
        ValueError: If there are no values, or a part is outside 0 to 1.
    """

    def __init__(self, attribute: str, values: dict[float, float]) -> None:
        self.attribute = attribute
        points = sorted((float(part), float(value)) for part, value in values.items())
        if not points or not 0 <= points[0][0] <= points[-1][0] <= 1:
            raise ValueError(
                f'ModelScheduleHook: values of {attribute} are {dict(values)}, expected parts of '
                'the training from 0 to 1 and their values'
            )
        self.parts, self.values = zip(*points)

    def value(self, part: float) -> float:
        """The value when a part of the training, 0 to 1, is done."""
        return float(np.interp(part, self.parts, self.values))

    def before_run(self, runner: Runner) -> None:
        """Checks that the model has the attribute.

        Raises:
            ValueError: If it has not, or it is no number.
        """
        self._owner(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        """Sets the attribute."""
        owner, name = self._owner(runner)
        setattr(owner, name, self.value(runner.iter / runner.max_iters))

    def _owner(self, runner: Runner) -> tuple[object, str]:
        owner = bare_model(runner)
        *path, name = self.attribute.split('.')
        for part in path:
            owner = getattr(owner, part, None)
        if not isinstance(getattr(owner, name, None), (int, float)):
            raise ValueError(
                f'ModelScheduleHook: the model has no number {self.attribute!r}; expected a path '
                'such as method.mi_weight'
            )
        return owner, name
