"""Changes a number of the model during training."""

from __future__ import annotations

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import HOOKS

from .bare_model import bare_model


@HOOKS.register_module()
class ModelScheduleHook(Hook):
    """Sets an attribute of the model before each step, by the fraction of the training done.

    For example, for losses that start late, or ratios that are annealed::

        default_hooks = dict(
            mi=dict(type='ModelScheduleHook', attribute='method.mi_weight',
                    values={0.0: 0.0, 0.25: 0.0, 0.5: 0.3}))

    The value is interpolated linearly between the given fractions, and constant before the first
    and after the last. The fraction is the iterations done over all iterations, so the schedule is
    the same in runs by epochs and by iterations, and in resumed runs. A model built after training
    has the config's value, so put the schedule's last value into the config. Validations use it,
    too: a test of their checkpoint gives the same.

    Args:
        attribute: dotted path of a number in the model, which becomes a float: a weight or a ratio,
            not a count.
        values: fraction of the training, from 0 to 1 -> value.

    Raises:
        ValueError: if there are no values, or a fraction is outside 0 to 1.
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
        self.value_of_config: float | None = None

    def value(self, part: float) -> float:
        """The value when this fraction of the training, 0 to 1, is done."""
        return float(np.interp(part, self.parts, self.values))

    def before_run(self, runner: Runner) -> None:
        """Checks that the model has the attribute.

        Raises:
            ValueError: if the attribute does not exist or is not a number.
        """
        self._owner(runner)

    def before_train(self, runner: Runner) -> None:
        """Warns if the config has another value than the schedule ends with."""
        owner, name = self._owner(runner)
        self.value_of_config = getattr(owner, name)
        if self.value_of_config != self.values[-1]:
            runner.logger.warning(
                f'ModelScheduleHook: the config has {self.value_of_config} as {self.attribute}, '
                f'but training ends with {self.values[-1]}; a model that is built for a test has '
                'the first of them'
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        """Sets the attribute."""
        owner, name = self._owner(runner)
        setattr(owner, name, self.value(runner.iter / runner.max_iters))

    def before_val(self, runner: Runner) -> None:
        """Sets the config's value; the next step sets the schedule's again."""
        if self.value_of_config is not None:
            owner, name = self._owner(runner)
            setattr(owner, name, self.value_of_config)

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
