"""A person's pose from an exported model, with only NumPy, OpenCV and onnxruntime.

    python examples/run_onnx.py pose.onnx 01.jpg 02.jpg 03.jpg --box 120 40 310 600 --out joints.jpg

The images are the clip's frames in order; a single image is used for all frames. The box, x1 y1 x2
y2 in pixels, is that of the person in the key frame. Crop and decoding (UDP, DARK) are MMPose's.
"""

import argparse
import json

import cv2
import numpy as np
import onnxruntime


def crop(frames, box, meta):
    """The clip (1, T, 3, H, W), and corner and size of the crop in pixels of the image."""
    aspect = meta['input_size'][0] / meta['input_size'][1]
    size = (np.array(box[2:]) - box[:2]) * meta['box_padding']
    size = np.maximum(size, size[::-1] * [aspect, 1 / aspect])
    corner = (np.array(box[:2]) + box[2:] - size) / 2
    scale = (np.array(meta['input_size']) - 1) / size
    matrix = np.column_stack([np.diag(scale), -scale * corner]).astype(np.float32)
    crops = [cv2.warpAffine(image, matrix, meta['input_size']) for image in frames]
    return np.stack(crops).transpose(0, 3, 1, 2)[None], corner, size


def decode(heatmap, kernel):
    """A heatmap's maximum, to fractions of a cell: one Newton step on its smoothed logarithm."""
    border, epsilon = kernel // 2, np.finfo(np.float32).eps
    smooth = cv2.GaussianBlur(np.pad(heatmap, border), (kernel, kernel), 0)
    smooth = smooth[border:-border, border:-border]
    logs = np.log(np.clip(smooth * heatmap.max() / smooth.max(), 1e-3, 50))
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    (a, b, _), (c, d, e), (_, f, g) = np.pad(logs, 1, mode='edge')[y : y + 3, x : x + 3]
    mixed = (g - e - f + 2 * d - c - b + a) / 2
    hessian = [[e - 2 * d + c + epsilon, mixed], [mixed, f - 2 * d + b + epsilon]]
    return [x, y] - np.linalg.solve(hessian, [(e - c) / 2, (f - b) / 2])


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument('model', help='written by tools/export_onnx.py')
parser.add_argument('images', nargs='+')
parser.add_argument('--box', type=float, nargs=4, required=True)
parser.add_argument('--out', help='picture to write')
args = parser.parse_args()

session = onnxruntime.InferenceSession(args.model, providers=['CPUExecutionProvider'])
meta = json.loads(session.get_modelmeta().custom_metadata_map['cmpose_mm'])
if meta['codec']['type'] != 'UDPHeatmap' or not meta['use_udp']:
    raise SystemExit(f'{args.model}: expected the codec UDPHeatmap, found {meta["codec"]}')
frames = [cv2.imread(path) for path in args.images] * (
    meta['num_frames'] if len(args.images) == 1 else 1
)
if len(frames) != meta['num_frames'] or any(frame is None for frame in frames):
    raise SystemExit(f'expected 1 or {meta["num_frames"]} readable images, found {args.images}')

clip, corner, size = crop(frames, args.box, meta)
heatmaps = session.run(None, {'clips': clip})[0][0]
cells = np.array([decode(heatmap, meta['codec']['blur_kernel_size']) for heatmap in heatmaps])
joints = cells / (np.array(meta['heatmap_size']) - 1) * size + corner
for name, (x, y), score in zip(meta['joints'], joints, heatmaps.max((1, 2))):
    print(f'{name:16} {x:8.2f} {y:8.2f} {score:6.3f}')
if args.out:
    image, points = frames[meta['key_index']], joints.round().astype(int).tolist()
    for start, end in meta['skeleton']:
        cv2.line(image, points[start], points[end], (0, 255, 0), 2)
    cv2.imwrite(args.out, image)
