"""Scenes of people, occluders, camera and light, with the image and labels of their frames."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from numbers import Integral, Real

import cv2
import numpy as np

from cmpose_mm.posetrack.joints import JOINT_NAMES

from . import body
from .canvas import OCCLUDER, Camera, Canvas, Capsule
from .textures import (
    head_texture,
    random_outline,
    random_texture,
    render_background,
    shirt_texture,
    skin_color,
    tiled,
)

FRAME_RATE = 25.0
_NEAREST = 1.3
"""Meters from the camera that the middle of people keeps; arms reach 0.8 m from it."""
_SUBFRAMES = 5  # odd, so that the middle one is at the labeled time


@dataclass
class Difficulty:
    """How hard scenes are; the defaults are the demo's.

    Attributes:
        people: smallest and largest number of persons in a scene.
        occluder_coverage: area of the rectangles around the occluders, as a share of the image.
        occluder_size: smallest and largest area of one occluder as a share of the image.
        moving_occluders: share of the occluders that move.
        occluder_speed: factor on the motion of occluders, on top of `speed`.
        crossing: probability that a person's path crosses another's in front of the camera.
        motion_blur: share of the videos with motion blur (exposures of up to a frame interval).
        defocus: share of the videos that go out of focus and back.
        max_defocus: largest standard deviation of defocus in pixels.
        low_light: share of the videos in low light.
        max_darkness: largest share of the light that these videos lose. The noise grows with one
            over the square root of the remaining light.
        speed: factor on all motion of people and occluders (1 is natural at 25 frames per second).
        facing_away: share of the people seen from behind, at most 0.85. A fixed share of 0.15 faces
            any direction; the rest faces the camera. From behind, left and right are hard to tell
            apart.
        zoom: smallest and largest factor on the focal length, drawn for each video, small and large
            ones equally often (log-uniform). People are larger by that factor, and from about 1.5
            on the frame cuts them.
    """

    people: tuple[int, int] = (1, 3)
    occluder_coverage: float = 0.01
    occluder_size: tuple[float, float] = (0.01, 0.06)
    moving_occluders: float = 0.6
    occluder_speed: float = 1.0
    crossing: float = 0.1
    motion_blur: float = 0.15
    defocus: float = 0.1
    max_defocus: float = 2.0
    low_light: float = 0.0
    max_darkness: float = 0.85
    speed: float = 1.0
    facing_away: float = 0.05
    zoom: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        for dial in fields(self):
            value, is_pair = getattr(self, dial.name), isinstance(dial.default, tuple)
            kind, word = (Integral, 'whole numbers') if dial.name == 'people' else (Real, 'numbers')
            values = value if is_pair and isinstance(value, (tuple, list)) else [value]
            if len(values) != 1 + is_pair or not all(
                isinstance(v, kind) and not isinstance(v, bool) and -np.inf < v < np.inf
                for v in values
            ):
                expected = f'two {word} (low, high)' if is_pair else 'a number'
                raise ValueError(f'Difficulty.{dial.name} is {value!r}; expected {expected}.')
        low, high = self.people
        if not 1 <= low <= high:
            raise ValueError(f'Difficulty.people is {self.people}; expected 1 <= low <= high.')
        low, high = self.occluder_size
        if not 0 < low <= high <= 1:
            raise ValueError(
                f'Difficulty.occluder_size is {self.occluder_size}; expected 0 < low <= high <= 1.'
            )
        low, high = self.zoom
        if not 0 < low <= high:
            raise ValueError(f'Difficulty.zoom is {self.zoom}; expected 0 < low <= high.')
        for name in (
            'occluder_coverage', 'moving_occluders', 'crossing', 'motion_blur', 'defocus',
            'low_light',
        ):  # fmt: skip
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f'Difficulty.{name} is {getattr(self, name)}; expected a number in 0..1.'
                )
        if not 0 <= self.facing_away <= 0.85:
            raise ValueError(
                f'Difficulty.facing_away is {self.facing_away}; expected a number in 0..0.85.'
            )
        if not 0 <= self.max_darkness < 1:
            raise ValueError(
                f'Difficulty.max_darkness is {self.max_darkness}; expected 0 <= max_darkness < 1.'
            )
        for name in ('max_defocus', 'speed', 'occluder_speed'):
            if getattr(self, name) < 0:
                raise ValueError(f'Difficulty.{name} is {getattr(self, name)}; expected >= 0.')


@dataclass
class Person:
    """One body, its motion and its clothes (textures, by the names that `body.Solid` uses)."""

    build: body.Build
    motion: body.Motion
    wardrobe: dict[str, np.ndarray]


@dataclass
class Occluder:
    """A flat object between camera and people.

    Attributes:
        texture, coverage: (h, w, 3) uint8 and (h, w) float32.
        corner: (2,) top left corner in pixels at time 0.
        velocity: (2,) pixels per second.
        depth: distance in meters.
    """

    texture: np.ndarray
    coverage: np.ndarray
    corner: np.ndarray
    velocity: np.ndarray
    depth: float


@dataclass
class Scene:
    """Everything that determines a frame, except its time. Times are in seconds around 0."""

    height: int
    width: int
    background: np.ndarray
    """Larger than the image by ``margin`` on each side; the camera pans over it."""
    margin: int
    focal: float
    horizon: float
    ground: float
    """Height of the camera over the floor, meters."""
    light: np.ndarray
    people: list[Person]
    occluders: list[Occluder]
    pan: np.ndarray = field(default_factory=lambda: np.zeros((2, 3)))
    """(2, 3) rows x, y of amplitude (pixels), frequency (hertz) and phase of the camera's pan."""
    shutter: float = 0.0
    """Exposure as a share of the frame interval."""
    defocus: float = 0.0
    """Largest standard deviation in pixels, at ``defocus_time``."""
    defocus_time: float = 0.0
    gain: np.ndarray = field(default_factory=lambda: np.ones(3))
    noise: float = 0.0
    """Standard deviation of the sensor's noise in gray levels."""

    def pan_at(self, t: float) -> np.ndarray:
        """(2,) shift of the picture in pixels."""
        amplitude, frequency, phase = self.pan.T
        return amplitude * np.sin(2 * np.pi * (frequency * t + phase))

    def camera_at(self, t: float) -> Camera:
        return Camera(self.focal, np.array([self.width / 2, self.horizon]) + self.pan_at(t))


@dataclass
class FrameLabels:
    """True labels of the persons in one frame, in pixels of the image.

    Attributes:
        keypoints: (P, 15, 3) x, y, and 1 if visible or 0 if hidden; all zero outside the image.
        head_boxes: (P, 4) xywh around the whole head, even where it leaves the image.
    """

    keypoints: np.ndarray
    head_boxes: np.ndarray


def render_frame(scene: Scene, t: float, rng: np.random.Generator) -> tuple[np.ndarray, Canvas]:
    """Renders the scene at time ``t`` in seconds.

    Args:
        scene: what to render.
        t: middle of the exposure.
        rng: source of the sensor's noise.

    Returns:
        (H, W, 3) uint8 BGR image with blur and noise, and the sharp canvas at time ``t``, with
        depth and owners of the pixels.
    """
    if scene.shutter > 0:
        offsets = (np.arange(_SUBFRAMES) / (_SUBFRAMES - 1) - 0.5) * scene.shutter / FRAME_RATE
        canvases = [_render_instant(scene, t + offset) for offset in offsets]
        image = np.mean([c.image for c in canvases], axis=0)
        canvas = canvases[_SUBFRAMES // 2]
    else:
        canvas = _render_instant(scene, t)
        image = canvas.image
    sigma = 0.5 + scene.defocus * np.exp(-(((t - scene.defocus_time) / 0.15) ** 2))
    image = cv2.GaussianBlur(image, (0, 0), sigma)
    image *= scene.gain.astype(np.float32)
    image += rng.standard_normal((*canvas.depth.shape, 1), np.float32) * np.float32(scene.noise)
    return np.clip(image, 0, 255, out=image).astype(np.uint8), canvas


def _render_instant(scene: Scene, t: float) -> Canvas:
    shift, camera = scene.pan_at(t), scene.camera_at(t)
    matrix = np.float64([[1, 0, shift[0] - scene.margin], [0, 1, shift[1] - scene.margin]])
    background = cv2.warpAffine(
        scene.background, matrix, (scene.width, scene.height), borderMode=cv2.BORDER_REPLICATE
    )
    canvas = Canvas(background)
    jobs = []
    for index, person in enumerate(scene.people):
        points = body.pose_points(person.build, person.motion, t, scene.ground)
        _shadow(canvas, camera, points, scene.ground)
        points = body.add_surface_points(points, person.build)
        for s in body.solids(person.build):
            capsule = Capsule(
                points[s.start],
                points[s.end],
                s.radii,
                points[s.frame],
                person.wardrobe[s.cloth],
                stretch=s.cloth in ('face', 'shirt'),
            )
            jobs.append((capsule.start[2] + capsule.end[2], index, capsule))
    for occluder in scene.occluders:
        jobs.append((2 * occluder.depth, OCCLUDER, occluder))
    for _, owner, thing in sorted(jobs, key=lambda job: -job[0]):
        if owner == OCCLUDER:
            corner = thing.corner + thing.velocity * t + shift
            canvas.draw_sprite(corner, thing.depth, thing.texture, thing.coverage)
        else:
            canvas.draw_capsule(camera, thing, scene.light, owner)
    return canvas


def _shadow(canvas: Canvas, camera: Camera, points: dict[str, np.ndarray], ground: float) -> None:
    """Darkens the floor under a person."""
    pelvis = points['pelvis']
    foot = np.array([pelvis[0], ground, pelvis[2]])
    center = camera.project(foot)
    radius = 0.35 * camera.focal / foot[2]
    height, width = canvas.depth.shape
    low = np.maximum(np.floor(center - radius).astype(int), 0)
    high = np.minimum(np.ceil(center + radius).astype(int) + 1, [width, height])
    if (low >= high).any():
        return
    x = (np.arange(low[0], high[0]) - center[0]) / radius
    y = (np.arange(low[1], high[1])[:, None] - center[1]) / (0.35 * radius)
    share = 0.5 * np.clip(1 - x * x - y * y, 0, 1).astype(np.float32)
    canvas.image[low[1] : high[1], low[0] : high[0]] *= 1 - share[..., None]


# How far behind the surface a joint may lie and still count as visible, in meters: a little more
# than the thickest body part around it, so that only other surfaces hide it.
_SKIN_DEPTH = {'hip': 0.16, 'shoulder': 0.13, 'head_bottom': 0.13, 'head_top': 0.14}


def frame_labels(scene: Scene, t: float, canvas: Canvas) -> FrameLabels:
    """Joints and head boxes of every person of the scene at time ``t``.

    A joint is visible if its pixel shows its own person at the joint's depth. So occluders, other
    persons and the person's own body can hide it, as in the case of a nose seen from behind.

    Args:
        scene: the scene.
        t: time in seconds.
        canvas: sharp rendering of the scene at ``t``.

    Returns:
        Labels of all persons, including those outside the image.
    """
    camera = scene.camera_at(t)
    keypoints = np.zeros((len(scene.people), len(JOINT_NAMES), 3))
    head_boxes = np.zeros((len(scene.people), 4))
    for index, person in enumerate(scene.people):
        points = body.pose_points(person.build, person.motion, t, scene.ground)
        joints = np.stack([points[name] for name in JOINT_NAMES])
        xy = camera.project(joints)
        column, row = np.rint(xy).astype(int).T
        inside = (column >= 0) & (column < scene.width) & (row >= 0) & (row < scene.height)
        column, row = column.clip(0, scene.width - 1), row.clip(0, scene.height - 1)
        slack = np.array([
            next((v for k, v in _SKIN_DEPTH.items() if name.endswith(k)), 0.08)
            for name in JOINT_NAMES
        ])  # fmt: skip
        seen = (canvas.owner[row, column] == index) & (
            canvas.depth[row, column] > joints[:, 2] - slack * person.build.girth
        )
        keypoints[index, :, :2] = xy
        keypoints[index, :, 2] = seen
        keypoints[index, ~inside] = 0

        p = body.add_surface_points(points, person.build)
        ends = camera.project(np.stack([p['head_bottom'], p['head_top'], p['skull_high']]))
        radius = 0.42 * person.build.head * camera.focal / p['skull_high'][2]
        low = np.minimum(ends[:2].min(0), ends[2] - radius)
        high = np.maximum(ends[:2].max(0), ends[2] + radius)
        head_boxes[index] = [*low, *(high - low)]
    return FrameLabels(keypoints, head_boxes)


def sample_scene(
    appearance: np.random.Generator,
    motion: np.random.Generator,
    difficulty: Difficulty,
    duration: float,
    height: int = 240,
    width: int = 320,
) -> Scene:
    """Draws a random scene.

    Args:
        appearance: source of textures, colors, bodies, background and light.
        motion: source of actions, paths, occluders' positions, camera motion and blur.
        difficulty: how hard the scene is.
        duration: length in seconds; the scene is made for the times -duration / 2 to duration / 2.
        height, width: image size in pixels.
    """
    focal = height * motion.uniform(1.15, 1.45)
    if difficulty.zoom[0] < difficulty.zoom[1]:  # else nothing is drawn: files of old settings stay
        focal *= np.exp(motion.uniform(*np.log(difficulty.zoom)))
    else:
        focal *= difficulty.zoom[0]
    horizon = height * motion.uniform(0.22, 0.5)
    ground = motion.uniform(1.1, 1.7)
    margin = height // 6
    count = int(motion.integers(difficulty.people[0], difficulty.people[1] + 1))
    people = _sample_people(appearance, motion, difficulty, count, focal / width, duration)
    nearest = min(p.motion.root[1] for p in people)
    background = render_background(
        appearance,
        height + 2 * margin,
        width + 2 * margin,
        horizon + margin,
        focal * ground,
        appearance.uniform(7.0, 12.0),
    )
    scene = Scene(
        height=height,
        width=width,
        background=background,
        margin=margin,
        focal=focal,
        horizon=horizon,
        ground=ground,
        light=_unit(np.array([appearance.normal(), -1.0 - appearance.random(), -1.0])),
        people=people,
        occluders=[],
        pan=np.stack(
            [motion.uniform(0, margin / 3, 2), motion.uniform(0.1, 0.6, 2), motion.random(2)],
            axis=1,
        ),  # fmt: skip
        gain=appearance.uniform(0.75, 1.15) * appearance.uniform(0.92, 1.08, 3),
        noise=appearance.uniform(1.0, 5.0),
    )
    scene.occluders = _sample_occluders(appearance, motion, difficulty, scene, nearest, duration)
    if motion.random() < difficulty.motion_blur:
        scene.shutter = motion.uniform(0.5, 1.0)
    if motion.random() < difficulty.defocus:
        scene.defocus = motion.uniform(0.4, 1.0) * difficulty.max_defocus
        scene.defocus_time = motion.uniform(-0.5, 0.5) * duration
    if motion.random() < difficulty.low_light:
        exposure = 1 - motion.uniform(0.6, 1.0) * difficulty.max_darkness
        scene.gain *= exposure
        scene.noise /= exposure**0.5
    return scene


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)


def _dress(rng: np.random.Generator) -> dict[str, np.ndarray]:
    skin = skin_color(rng)
    noise = rng.normal(0, 4, (64, 64, 1))
    bare = (skin + noise).clip(0, 255).astype(np.uint8)
    shirt = shirt_texture(rng, skin)
    trousers = random_texture(rng, contrast=(0.0, 0.6))
    cloth = np.tile(shirt[:32, 16:48], (2, 2, 1))  # of the back
    return {
        'skin': bare,
        'face': head_texture(rng, skin),
        'shirt': shirt,
        'yoke': cloth,
        'sleeve': cloth if rng.random() < 0.8 else bare,
        'cuff': cloth if rng.random() < 0.25 else bare,
        'trousers': trousers,
        'leg': trousers if rng.random() < 0.5 else bare,
        'shoe': random_texture(rng, saturation=(0, 0.5)),
    }


def _sample_people(appearance, motion, difficulty, count, zoom, duration) -> list[Person]:
    """People side by side or crossing; ``zoom`` is the focal length in image widths."""
    people = []
    depths = motion.permutation(np.linspace(2.9, 4.8, count)) + motion.uniform(-0.3, 0.3, count)
    slots = motion.permutation((np.arange(count) + 0.5) / count - 0.5)
    for i, depth in enumerate(depths):
        if i > 0 and motion.random() < difficulty.crossing:
            # Walks across and meets the previous person in the image at some time.
            other = people[-1].motion
            when = motion.uniform(-0.4, 0.4) * duration
            where = (other.root + other.velocity * when)[0] / depths[i - 1]
            direction = motion.choice([-1.0, 1.0]) * np.pi / 2 + motion.normal(0, 0.3)
            m = body.sample_motion(motion, difficulty.speed, difficulty.facing_away, direction)
            m.root = np.array([where * depth - m.velocity[0] * when, depth])
        else:
            across = slots[i] * 0.9 + motion.uniform(-0.1, 0.1)  # image widths from the middle
            m = body.sample_motion(motion, difficulty.speed, difficulty.facing_away)
            m.root = np.array([across / zoom * depth, depth])
        # Nobody walks into the camera, however long the video is.
        limit = (depth - _NEAREST) / (duration / 2)
        m.velocity[1] = np.clip(np.clip(m.velocity[1], -1.0, 1.5) * 0.7, -limit, limit)
        people.append(Person(body.sample_build(appearance), m, _dress(appearance)))
    return people


def _sample_occluders(
    appearance, motion, difficulty, scene: Scene, nearest: float, duration: float
) -> list[Occluder]:
    """Occluders in front of people, until their rectangles are the wanted share of the image."""
    left = difficulty.occluder_coverage * scene.height * scene.width
    occluders = []
    while left > 50:
        area = min(left, scene.height * scene.width * motion.uniform(*difficulty.occluder_size))
        aspect = np.exp(motion.normal(0, 0.7))
        h = int(np.clip((area * aspect) ** 0.5, 5, scene.height))
        w = int(np.clip(area / h, 5, scene.width))
        texture = tiled(random_texture(appearance), h, w)
        # In front of a random person at a random time of the video.
        target = scene.people[motion.integers(len(scene.people))]
        when = motion.uniform(-0.5, 0.5) * duration
        points = body.pose_points(target.build, target.motion, when, scene.ground)
        joint = points[JOINT_NAMES[motion.integers(len(JOINT_NAMES))]]
        center = scene.camera_at(when).project(joint) - scene.pan_at(when)
        velocity = np.zeros(2)
        if motion.random() < difficulty.moving_occluders:
            speed = difficulty.speed * difficulty.occluder_speed
            velocity = speed * scene.width * motion.normal(0, [0.35, 0.1])
        corner = center - np.array([w, h]) / 2 - velocity * when
        depth = min(nearest - 1.0, target.motion.root[1] - 0.7) - 0.01 * len(occluders)
        coverage = random_outline(appearance, h, w)
        occluders.append(Occluder(texture, coverage, corner, velocity, depth))
        left -= h * w
    return occluders
