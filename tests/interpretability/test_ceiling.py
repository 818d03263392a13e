"""What the labels would select, on a case by hand."""

import numpy as np
import torch

from cmpose_mm.interpretability.ceiling import label_selection
from cmpose_mm.interpretability.token_shares import TokenRegions, token_shares


def test_a_case_by_hand():
    """Two joints in one place, one apart, one without a label; 3 x 4 cells, two tokens each.

    Cells 0 1 2 3 / 4 5 6 7 / 8 9 10 11, of 2 x 2 pixels of the heatmaps.
    """
    heatmaps = torch.zeros(1, 4, 6, 8)
    heatmaps[0, 0, 2:4, 2:4] = 1.0  # cell 5
    heatmaps[0, 0, 2:4, 4:6] = 0.5  # cell 6
    heatmaps[0, 1] = heatmaps[0, 0]
    heatmaps[0, 2, 4:6, 6:8] = 1.0  # cell 11
    heatmaps[0, 2, 4:6, 4:6] = 0.2  # cell 10
    labeled = torch.tensor([[True, True, False, True]])
    heatmaps = heatmaps[:, [0, 1, 3, 2]]  # the third has no label
    cells = label_selection(heatmaps, labeled, (3, 4), 2)
    # The first takes both cells, the second what is free; the third keeps off 10 and 11.
    assert cells.tolist() == [[[5, 6], [0, 1], [2, 3], [11, 10]]]

    near = np.zeros((4, 12), bool)
    near[0, [5, 6, 1]] = near[1, [5, 6, 1]] = True
    near[3, 11] = True
    region = TokenRegions(near, 1.0 - near, np.zeros(12, bool), labeled[0].numpy())
    # Of the six cells of labeled joints 5, 6, 1 and 11 are near their own.
    assert token_shares([cells[0].numpy()], [region]).own_joint == 100 * 4 / 6


def test_an_unlabeled_joint_takes_nothing_from_those_behind_it():
    heatmaps = torch.zeros(2, 2, 2, 2)
    heatmaps[:, 1, 0, 0] = 1
    heatmaps[:, 0, 0, 0] = 1  # what a codec may draw of a joint that does not count
    for first, expected in ((True, [[0], [1]]), (False, [[1], [0]])):
        labeled = torch.tensor([[first, True]] * 2)
        assert label_selection(heatmaps, labeled, (2, 2), 1).tolist() == [expected] * 2
