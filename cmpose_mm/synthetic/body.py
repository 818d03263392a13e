"""A stick figure with volume: closed-form joint motion, and solids that give it a surface.

All coordinates are in the camera frame, in meters: x to the right, y down, z away from the camera.
All motion is a closed-form function of time, so frames can be rendered in any order and at any
time between frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Degrees of freedom in radians. "flex" swings a limb forward, "abd" lifts it sideways.
ANGLE_NAMES = (
    'lean', 'roll', 'twist', 'head_yaw', 'head_pitch', 'head_roll',
    'left_arm_flex', 'left_arm_abd', 'left_arm_turn', 'left_elbow',
    'right_arm_flex', 'right_arm_abd', 'right_arm_turn', 'right_elbow',
    'left_thigh_flex', 'left_thigh_abd', 'left_knee',
    'right_thigh_flex', 'right_thigh_abd', 'right_knee',
)  # fmt: skip
_LOWER = dict(elbow=0.02, knee=0.02, thigh_abd=-0.15, arm_abd=-0.1)
_UPPER = dict(elbow=2.5, knee=2.3)


@dataclass
class Build:
    """Lengths and radii of one body, in meters."""

    torso: float
    neck: float
    head: float
    shoulder: float
    """Half the distance between the shoulders."""
    hip: float
    """Half the distance between the hips."""
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    foot: float
    girth: float
    """Factor on all limb radii."""


@dataclass
class Motion:
    """Every joint angle is ``mean + amplitude * sin(2 pi (frequency * t + phase))``, clipped.

    The four arrays are (20,), ordered as `ANGLE_NAMES`; frequency is in hertz. ``root`` (2,) is the
    ground position (x, z) at ``t = 0``, ``velocity`` (2,) is in meters per second, ``heading`` is
    the yaw at ``t = 0`` (0 faces the camera, positive turns to the person's left), and ``turn`` is
    its rate of change.
    """

    mean: np.ndarray
    amplitude: np.ndarray
    frequency: np.ndarray
    phase: np.ndarray
    root: np.ndarray
    velocity: np.ndarray
    heading: float
    turn: float
    hop: float = 0.0
    """Height of a hop in meters, at the frequency of the left knee."""

    def angles(self, t: float) -> dict[str, float]:
        """Joint angles in radians at time ``t`` (seconds)."""
        values = self.mean + self.amplitude * np.sin(2 * np.pi * (self.frequency * t + self.phase))
        return dict(zip(ANGLE_NAMES, np.clip(values, _LOWER_ARRAY, _UPPER_ARRAY).tolist()))


def _limits(table: dict[str, float], default: float) -> np.ndarray:
    return np.array(
        [next((v for k, v in table.items() if n.endswith(k)), default) for n in ANGLE_NAMES]
    )


_LOWER_ARRAY, _UPPER_ARRAY = _limits(_LOWER, -np.inf), _limits(_UPPER, np.inf)


def sample_build(rng: np.random.Generator) -> Build:
    """Random adult or child with human proportions."""
    height = rng.uniform(1.45, 1.95)

    def part(share: float) -> float:
        return height * share * rng.uniform(0.94, 1.06)

    return Build(
        torso=part(0.285),
        neck=part(0.045),
        head=part(0.135),
        shoulder=part(0.112),
        hip=part(0.056),
        upper_arm=part(0.172),
        forearm=part(0.150),
        thigh=part(0.238),
        shin=part(0.235),
        foot=part(0.105),
        girth=height / 1.7 * rng.uniform(0.85, 1.25),
    )


_ANY_DIRECTION = 0.15  # share of the people who face in a uniformly random direction


def sample_motion(
    rng: np.random.Generator, speed: float, facing_away: float, heading: float | None = None
) -> Motion:
    """Random action: walking, running, gesturing, squatting, jumping jacks, sitting, dancing.

    Args:
        rng: source of all randomness.
        speed: factor on every rate of change (1 is natural).
        facing_away: probability of facing away from the camera, within 40 degrees. A fixed share of
            0.15 faces any direction; the rest faces the camera, within 40 degrees. Unused with
            ``heading``.
        heading: walk or run in this direction; None for any action.

    Returns:
        A motion whose root is (0, 0); walkers move along their heading.
    """
    size = len(ANGLE_NAMES)
    mean, amplitude, phase = np.zeros(size), np.zeros(size), np.zeros(size)
    beat = rng.uniform(0.6, 1.2)
    frequency = np.full(size, beat)
    at = {name: i for i, name in enumerate(ANGLE_NAMES)}

    def put(name: str, m: float, a: float = 0.0, p: float = 0.0) -> None:
        mean[at[name]], amplitude[at[name]], phase[at[name]] = m, a, p

    def free_arms() -> None:
        for side in ('left', 'right'):
            put(f'{side}_arm_flex', rng.uniform(-0.3, 2.4), rng.uniform(0.1, 0.9), rng.random())
            put(f'{side}_arm_abd', rng.uniform(0.1, 1.3), rng.uniform(0.05, 0.5), rng.random())
            put(f'{side}_arm_turn', rng.uniform(-1.0, 1.0), rng.uniform(0, 0.5), rng.random())
            put(f'{side}_elbow', rng.uniform(0.1, 1.9), rng.uniform(0.1, 0.8), rng.random())
            frequency[at[f'{side}_arm_flex'] : at[f'{side}_elbow'] + 1] = rng.uniform(0.4, 1.4)

    action = rng.choice(
        ['walk', 'run', 'gesture', 'squat', 'jack', 'sit', 'dance'],
        p=[0.28, 0.15, 0.2, 0.08, 0.08, 0.06, 0.15],
    )
    if heading is None:
        heading = rng.choice(
            [0.0, np.pi, rng.uniform(-np.pi, np.pi)],
            p=[1 - _ANY_DIRECTION - facing_away, facing_away, _ANY_DIRECTION],
        )
        heading += rng.uniform(-0.7, 0.7)
    elif action not in ('walk', 'run'):
        action = 'walk'
    put('lean', rng.normal(0, 0.08))
    put('roll', rng.normal(0, 0.05))
    put('twist', rng.normal(0, 0.15))
    put('head_yaw', rng.normal(0, 0.35), rng.uniform(0, 0.3), rng.random())
    put('head_pitch', rng.normal(0.05, 0.15))
    put('head_roll', rng.normal(0, 0.08))
    pace, hop = 0.0, 0.0
    if action in ('walk', 'run'):
        running = action == 'run'
        start = rng.random()
        swing, bend = (0.75, 1.4) if running else (0.45, 0.25)
        for side, shift in (('left', start), ('right', start + 0.5)):
            put(f'{side}_thigh_flex', 0.15 + 0.2 * running, swing * rng.uniform(0.8, 1.2), shift)
            put(f'{side}_thigh_abd', 0.03)
            # The shin folds while the thigh swings forward, a quarter period before its peak.
            put(f'{side}_knee', 0.45 + 0.5 * running, 0.4 + 0.35 * running, shift + 0.2)
            put(f'{side}_arm_flex', 0.0, swing * rng.uniform(0.6, 1.2), shift + 0.5)
            put(f'{side}_arm_abd', rng.uniform(0.05, 0.25))
            put(f'{side}_elbow', bend, 0.2, shift + 0.5)
        frequency[:] = rng.uniform(1.2, 1.6) if running else rng.uniform(0.8, 1.1)
        put('lean', rng.uniform(0.1, 0.3) if running else rng.uniform(-0.02, 0.12))
        put('twist', 0.0, 0.15, start + 0.5)
        pace = rng.uniform(2.0, 3.5) if running else rng.uniform(0.8, 1.6)
        hop = 0.08 if running else 0.0
        if rng.random() < 0.2:  # carries or waves something while walking
            free_arms()
    elif action == 'squat':
        depth, start = rng.uniform(0.4, 0.75), rng.random()
        for side in ('left', 'right'):
            put(f'{side}_thigh_flex', depth, depth, start)
            put(f'{side}_knee', depth * 1.15, depth * 1.15, start)
            put(f'{side}_thigh_abd', rng.uniform(0.05, 0.4))
        put('lean', depth * 0.5, depth * 0.5, start)
        free_arms()
    elif action == 'jack':
        start = rng.random()
        for side in ('left', 'right'):
            put(f'{side}_arm_abd', 1.4, rng.uniform(0.8, 1.3), start)
            put(f'{side}_elbow', 0.3, 0.2, start)
            put(f'{side}_thigh_abd', 0.22, 0.25, start)
            put(f'{side}_knee', 0.2, 0.15, start)
        hop = 0.12
    elif action == 'sit':
        for side in ('left', 'right'):
            put(f'{side}_thigh_flex', rng.uniform(1.2, 1.6), 0.08, rng.random())
            put(f'{side}_thigh_abd', rng.uniform(0.0, 0.35))
            put(f'{side}_knee', rng.uniform(1.1, 1.7), 0.15, rng.random())
        free_arms()
    else:  # gesture, dance
        wild = action == 'dance'
        for side in ('left', 'right'):
            put(f'{side}_thigh_flex', rng.uniform(-0.1, 0.2 + 0.7 * wild),
                rng.uniform(0, 0.1 + 0.5 * wild), rng.random())  # fmt: skip
            put(f'{side}_thigh_abd', rng.uniform(0, 0.2 + 0.3 * wild), 0.15 * wild, rng.random())
            put(f'{side}_knee', rng.uniform(0.02, 0.15 + 0.9 * wild), 0.4 * wild, rng.random())
        if wild:
            put('lean', rng.uniform(-0.2, 0.5), rng.uniform(0, 0.3), rng.random())
            put('roll', rng.normal(0, 0.15), rng.uniform(0, 0.2), rng.random())
            put('twist', rng.normal(0, 0.2), rng.uniform(0, 0.4), rng.random())
        free_arms()
    velocity = pace * speed * np.array([np.sin(heading), -np.cos(heading)])
    return Motion(
        mean=mean,
        amplitude=amplitude,
        frequency=frequency * speed,
        phase=phase,
        root=np.zeros(2),
        velocity=velocity,
        heading=heading,
        turn=0.0 if pace else rng.normal(0, 0.5) * speed,
        hop=hop,
    )


def _frame(heading: float, lean: float, roll: float) -> np.ndarray:
    """(3, 3) with rows left, up, front: a body part that leans forward and rolls to its left."""
    s, c = np.sin(heading), np.cos(heading)
    left, up, front = np.array([c, 0.0, s]), np.array([0.0, -1.0, 0.0]), np.array([s, 0.0, -c])
    up, front = up * np.cos(lean) + front * np.sin(lean), front * np.cos(lean) - up * np.sin(lean)
    up, left = up * np.cos(roll) + left * np.sin(roll), left * np.cos(roll) - up * np.sin(roll)
    return np.stack([left, up, front])


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # np.cross takes ten times as long for two vectors.
    (x, y, z), (u, v, w) = a.tolist(), b.tolist()
    return np.array([y * w - z * v, z * u - x * w, x * v - y * u])


def _limb(frame: np.ndarray, outward: float, flex: float, abd: float, turn: float):
    """Direction of an upper limb, and the unit vector perpendicular to it toward which it bends."""
    left, up, front = frame
    direction = np.cos(abd) * (front * np.sin(flex) - up * np.cos(flex)) + (
        outward * np.sin(abd) * left
    )
    across = front * np.cos(flex) + up * np.sin(flex)
    return direction, across * np.cos(turn) + _cross(direction, across) * outward * np.sin(turn)


def pose_points(build: Build, motion: Motion, t: float, ground: float) -> dict[str, np.ndarray]:
    """Joints and helper points of a body at one time.

    Args:
        build: proportions.
        motion: closed-form motion.
        t: time in seconds.
        ground: y of the floor; the lower foot stands on it, or above it during a hop.

    Returns:
        Points (3,) by name: the 15 joints of `cmpose_mm.posetrack.joints.JOINT_NAMES`, and
        ``pelvis``, ``chest``, ``left_hand``, ``right_hand``, ``left_toe``, ``right_toe``. Also the
        (3, 3) frames ``hip_frame``, ``torso_frame``, ``head_frame``, with rows left, up, front.
    """
    a = motion.angles(t)
    heading = motion.heading + motion.turn * t
    hips = _frame(heading, 0.4 * a['lean'], 0.4 * a['roll'])
    torso = _frame(heading + a['twist'], a['lean'], a['roll'])
    head = _frame(
        heading + a['twist'] + a['head_yaw'],
        0.7 * a['lean'] + a['head_pitch'],
        0.7 * a['roll'] + a['head_roll'],
    )
    p = {'pelvis': np.zeros(3), 'hip_frame': hips, 'torso_frame': torso, 'head_frame': head}
    p['chest'] = p['pelvis'] + torso[1] * build.torso
    p['head_bottom'] = p['chest'] + torso[1] * build.neck + 0.02 * head[2]
    p['head_top'] = p['head_bottom'] + head[1] * build.head
    p['nose'] = p['head_bottom'] + head[1] * 0.42 * build.head + head[2] * 0.46 * build.head
    for side, outward in (('left', 1.0), ('right', -1.0)):
        shoulder = p['chest'] + torso[0] * outward * build.shoulder - torso[1] * 0.03
        direction, bend = _limb(
            torso, outward, a[f'{side}_arm_flex'], a[f'{side}_arm_abd'], -a[f'{side}_arm_turn']
        )
        elbow = shoulder + direction * build.upper_arm
        angle = a[f'{side}_elbow']
        forearm = direction * np.cos(angle) + bend * np.sin(angle)
        wrist = elbow + forearm * build.forearm
        p[f'{side}_shoulder'], p[f'{side}_elbow'], p[f'{side}_wrist'] = shoulder, elbow, wrist
        p[f'{side}_hand'] = wrist + forearm * 0.5 * build.foot

        hip = p['pelvis'] + hips[0] * outward * build.hip
        direction, bend = _limb(hips, outward, a[f'{side}_thigh_flex'], a[f'{side}_thigh_abd'], 0.0)
        knee = hip + direction * build.thigh
        angle = a[f'{side}_knee']
        shin = direction * np.cos(angle) - bend * np.sin(angle)
        forward = bend * np.cos(angle) + direction * np.sin(angle)
        ankle = knee + shin * build.shin
        p[f'{side}_hip'], p[f'{side}_knee'], p[f'{side}_ankle'] = hip, knee, ankle
        p[f'{side}_toe'] = ankle + (0.85 * forward + 0.35 * shin) * build.foot
    lowest = max(p[f'{s}_{n}'][1] for s in ('left', 'right') for n in ('ankle', 'toe', 'knee'))
    hop_phase = 2 * np.pi * (motion.frequency[-1] * t + motion.phase[-1])
    root = np.array([
        motion.root[0] + motion.velocity[0] * t,
        ground - 0.04 - lowest - motion.hop * abs(np.sin(hop_phase)),
        motion.root[1] + motion.velocity[1] * t,
    ])  # fmt: skip
    return {k: v if k.endswith('frame') else v + root for k, v in p.items()}


@dataclass
class Solid:
    """A tapered, elliptic capsule from ``start`` to ``end`` (points by name).

    ``radii`` holds (side, front) at the start and (side, front) at the end, in meters. ``frame``
    names the body frame that orients texture and ellipse, ``cloth`` the texture.
    """

    start: str
    end: str
    radii: tuple[float, float, float, float]
    frame: str
    cloth: str


def solids(build: Build) -> list[Solid]:
    """The surface of a body as capsules between the points of `pose_points`."""
    g = build.girth

    def round_(start, end, r0, r1, frame, cloth):
        return Solid(start, end, (r0 * g, r0 * g, r1 * g, r1 * g), frame, cloth)

    belly = (1.05 * build.hip + 0.055 * g, 0.095 * g)
    parts = [
        Solid('waist', 'chest', (*belly, 0.8 * build.shoulder, 0.105 * g), 'torso_frame', 'shirt'),
        Solid('pelvis', 'waist', (belly[0] + 0.012, 0.105 * g, *belly), 'hip_frame', 'trousers'),
        round_('chest', 'head_bottom', 0.065, 0.05, 'torso_frame', 'skin'),
        Solid('skull_low', 'skull_high', (0.36 * build.head, 0.42 * build.head, 0.38 * build.head,
                                          0.44 * build.head), 'head_frame', 'face'),
        round_('nose', 'nose', 0.018, 0.018, 'head_frame', 'skin'),
        round_('left_hip', 'right_hip', 0.085, 0.085, 'hip_frame', 'trousers'),
    ]  # fmt: skip
    for s in ('left', 'right'):
        parts += [
            round_('chest_low', f'{s}_shoulder', 0.075, 0.06, 'torso_frame', 'yoke'),
            round_(f'{s}_shoulder', f'{s}_elbow', 0.058, 0.043, 'torso_frame', 'sleeve'),
            round_(f'{s}_elbow', f'{s}_wrist', 0.042, 0.03, 'torso_frame', 'cuff'),
            round_(f'{s}_wrist', f'{s}_hand', 0.032, 0.035, 'torso_frame', 'skin'),
            round_(f'{s}_hip', f'{s}_knee', 0.09, 0.06, 'hip_frame', 'trousers'),
            round_(f'{s}_knee', f'{s}_ankle', 0.058, 0.04, 'hip_frame', 'leg'),
            round_(f'{s}_ankle', f'{s}_toe', 0.045, 0.035, 'hip_frame', 'shoe'),
        ]
    return parts


def add_surface_points(points: dict[str, np.ndarray], build: Build) -> dict[str, np.ndarray]:
    """Adds the ends of the skull, the shoulders' base and the waist to the points of a pose."""
    up = points['head_frame'][1]
    radius = 0.40 * build.head
    low = points['head_bottom'] + up * (0.9 * radius)
    high = points['head_top'] - up * (0.85 * radius)  # the joint lies just under the surface
    chest = points['chest'] - points['torso_frame'][1] * 0.05
    waist = 0.7 * points['pelvis'] + 0.3 * points['chest']
    extra = dict(skull_low=low, skull_high=high, chest_low=chest, waist=waist)
    return {**points, **extra}
