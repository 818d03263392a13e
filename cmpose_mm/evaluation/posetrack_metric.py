"""The place where `PoseTrackMetric` was; it is in `cmpose_mm.metrics` now."""

from cmpose_mm.old_names import old_names

__getattr__ = old_names(
    __name__,
    {
        'PROTOCOLS': 'cmpose_mm.evaluation.protocol:PROTOCOLS',
        'PoseTrackMetric': 'cmpose_mm.metrics:PoseTrackMetric',
        'Protocol': 'cmpose_mm.evaluation.protocol:Protocol',
    },
)
