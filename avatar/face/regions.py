"""Index lists into MediaPipe's 478 face landmarks, by region. "Right" is the subject's right.

Source: mediapipe/modules/face_geometry/data/canonical_face_model_uv_visualization.png and face_mesh_connections.py.
"""

import numpy as np

FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
LIPS_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
LIPS_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
RIGHT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_EYE = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
RIGHT_IRIS = (469, 470, 471, 472)
LEFT_IRIS = (474, 475, 476, 477)
RIGHT_IRIS_CENTRE, LEFT_IRIS_CENTRE = 468, 473
RIGHT_BROW = (70, 63, 105, 66, 107)
LEFT_BROW = (300, 293, 334, 296, 336)
NOSE_BRIDGE = (168, 6, 197, 195, 5, 4)
NOSE_BASE = (129, 98, 97, 2, 326, 327, 358)
CHEEKS = (50, 280, 205, 425, 123, 352, 187, 411, 117, 346, 207, 427)
EYE_CORNERS_OUTER = (33, 263)

# (upper, lower) points that touch when the mouth or an eye is shut
INNER_LIP_PAIRS = np.array(
    [(191, 95), (80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318), (415, 324)]
)
OUTER_LIP_PAIRS = np.array(
    [(185, 146), (40, 91), (39, 181), (37, 84), (0, 17), (267, 314), (269, 405), (270, 321), (409, 375)]
)
RIGHT_LID_PAIRS = np.array([(246, 7), (161, 163), (160, 144), (159, 145), (158, 153), (157, 154), (173, 155)])
LEFT_LID_PAIRS = np.array([(466, 249), (388, 390), (387, 373), (386, 374), (385, 380), (384, 381), (398, 382)])

# Points that hardly move with the expression: they define the head's pose
RIGID = (
    10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 33, 133, 362, 263, 127, 356, 234, 454, 93, 323, 21, 251, 54, 284, 103, 332,
    67, 297, 109, 338, 98, 327, 2,
)  # fmt: skip

# Control points of the landmark warp: dense where people look, sparse elsewhere
WARP_CONTROL = np.array(
    FACE_OVAL[::2] + LIPS_OUTER + (78, 81, 82, 13, 312, 311, 308, 402, 317, 14, 87, 178) + RIGHT_EYE + LEFT_EYE
    + (RIGHT_IRIS_CENTRE, LEFT_IRIS_CENTRE) + RIGHT_BROW + LEFT_BROW + NOSE_BRIDGE + NOSE_BASE + CHEEKS
)  # fmt: skip
