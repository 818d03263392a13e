"""What MMPose takes from xtcocotools, done by pycocotools, which has wheels for every platform.

Covered are MMPose's COCO-style datasets and `CocoMetric` with ``iou_type='keypoints'`` and
``use_area=True``, for any joints and sigmas; the numbers are xtcocotools'. Not covered, and refused
in a sentence, are CrowdPose, AI Challenger and whole-body metrics.
"""

from __future__ import annotations

from pycocotools import coco, cocoeval, mask

from .placeholders import GET_XTCOCOTOOLS

__all__ = ['COCO', 'COCOeval', 'mask']


class COCO(coco.COCO):
    """Labels or results; as in xtcocotools, a label without ``iscrowd`` is not a crowd."""

    def createIndex(self) -> None:
        for annotation in self.dataset.get('annotations', ()):
            annotation.setdefault('iscrowd', 0)
        super().createIndex()


class COCOeval(cocoeval.COCOeval):
    """OKS-based AP and AR of keypoints.

    Args:
        cocoGt: labels.
        cocoDt: results, of ``cocoGt.loadRes``.
        iouType: ``'keypoints'``.
        sigmas: one of each joint; by default COCO's 17.
        use_area: True: OKS is relative to the labeled ``area``.

    Raises:
        NotImplementedError: if another protocol than COCO's keypoints is asked for.
    """

    def __init__(self, cocoGt=None, cocoDt=None, iouType='keypoints', sigmas=None, use_area=True):
        if iouType != 'keypoints' or not use_area:
            raise NotImplementedError(
                f'iou_type={iouType!r} with use_area={use_area} needs xtcocotools, in whose place '
                "pycocotools evaluates iou_type='keypoints' with use_area=True only; "
                f'{GET_XTCOCOTOOLS}.'
            )
        super().__init__(cocoGt, cocoDt, iouType)
        if sigmas is not None:
            self.params.kpt_oks_sigmas = sigmas

    def _prepare(self) -> None:
        """As xtcocotools: counts the labeled joints itself and drops results without any joint.

        The labels' ids become 1, 2, ...: to pycocotools a match with id 0 is no match.
        """
        for label in self.cocoGt.anns.values():
            label['num_keypoints'] = sum(visible > 0 for visible in label['keypoints'][2::3])
        super()._prepare()
        for labels in self._gts.values():
            labels[:] = [dict(label, id=number) for number, label in enumerate(labels, 1)]
        for results in self._dts.values():
            results[:] = [each for each in results if any(s > 0 for s in each['keypoints'][2::3])]
