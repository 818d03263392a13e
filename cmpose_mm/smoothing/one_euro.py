"""The One-Euro filter, for poses that are shown while they are computed."""

from __future__ import annotations

import math

import numpy as np

_FORGOTTEN = 10.0  # seconds; of what was known then the filter takes 1 % by default


class OneEuroSmoother:
    """Smooths the joints of each track, online, with the One-Euro filter.

    A low-pass filter of first order for each coordinate, whose cutoff frequency grows with the
    speed: who stands does not tremble, who runs is not held back (Casiez et al., CHI 2012).

        alpha(f) = 1 / (1 + 1 / (2 pi f dt))
        v_t = alpha(f_d) (x_t - x_(t-1)) / dt + (1 - alpha(f_d)) v_(t-1)
        y_t = alpha(f_min + beta |v_t|) x_t + (1 - alpha(f_min + beta |v_t|)) y_(t-1)

    *Chosen*: speed is measured in body lengths (the longer side of the person's box) per second,
    so that settings hold for all image sizes; x_(t-1) is the unfiltered coordinate, as in the
    authors' code of today.

    Args:
        min_cutoff: f_min in Hz; lower removes more of the trembling.
        beta: in Hz per body length a second; higher lags less behind fast movements.
        derivative_cutoff: f_d in Hz.

    Raises:
        ValueError: if a cutoff is not above 0, or ``beta`` is negative.
    """

    def __init__(
        self, min_cutoff: float = 2.0, beta: float = 10.0, derivative_cutoff: float = 1.0
    ) -> None:
        if min(min_cutoff, derivative_cutoff) <= 0 or beta < 0:
            raise ValueError(
                f'min_cutoff is {min_cutoff}, derivative_cutoff {derivative_cutoff} and beta '
                f'{beta}, expected cutoffs above 0 and beta of at least 0.'
            )
        self.min_cutoff, self.beta = min_cutoff, beta
        self.derivative_cutoff = derivative_cutoff
        # of tracks of late: time, raw and smoothed coordinates, and speed when last seen
        self._last: dict[int, tuple[float, np.ndarray, np.ndarray, np.ndarray]] = {}

    def update(
        self, ids: np.ndarray, keypoints: np.ndarray, sizes: np.ndarray, time: float
    ) -> np.ndarray:
        """Smooths the persons of the next frame.

        A track that was not seen for a while is the less held back, the longer that was; after ten
        seconds it begins anew, so that memory does not grow with the number of tracks.

        Args:
            ids: (P,) track ids; persons with a negative id keep their joints.
            keypoints: (P, K, 2) pixels of the image.
            sizes: (P,) body length in pixels, above 0.
            time: of the frame in seconds.

        Returns:
            (P, K, 2) smoothed joints, float64.

        Raises:
            ValueError: if ``time`` is not after that of a track's last frame, an id is there twice,
                a size is not above 0 or a coordinate not finite. The smoother is then unchanged.
        """
        keypoints, sizes = np.asarray(keypoints, np.float64), np.asarray(sizes, np.float64)
        known = [track for track in np.asarray(ids).tolist() if track >= 0]
        if len(set(known)) < len(known):
            raise ValueError(f'ids are {known}, expected each track once.')
        if not (sizes > 0).all():
            raise ValueError(f'sizes are {sizes.tolist()}, expected them above 0.')
        late = [track for track in known if track in self._last and self._last[track][0] >= time]
        if late:
            raise ValueError(
                f'time is {time} s, expected it after {self._last[late[0]][0]} s, when track '
                f'{late[0]} was last seen.'
            )
        if not np.isfinite(keypoints).all():
            raise ValueError('keypoints have a coordinate that is not finite, expected pixels.')
        self._last = {k: seen for k, seen in self._last.items() if time - seen[0] <= _FORGOTTEN}
        smoothed = keypoints.copy()
        for place, track in enumerate(np.asarray(ids).tolist()):
            if track >= 0:
                smoothed[place] = self._filter(track, keypoints[place], sizes[place], time)
        return smoothed

    def _filter(self, track: int, raw: np.ndarray, size: float, time: float) -> np.ndarray:
        if track not in self._last:
            self._last[track] = time, raw, raw, np.zeros_like(raw)
            return raw
        last_time, last_raw, last, speed = self._last[track]
        step = time - last_time
        share = _share(self.derivative_cutoff, step)
        speed = share * (raw - last_raw) / (step * size) + (1 - share) * speed
        share = _share(self.min_cutoff + self.beta * np.abs(speed), step)
        smoothed = share * raw + (1 - share) * last
        self._last[track] = time, raw, smoothed, speed
        return smoothed


def _share(cutoff: float | np.ndarray, step: float) -> float | np.ndarray:
    """Weight of the new value: alpha of the class."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * step))
