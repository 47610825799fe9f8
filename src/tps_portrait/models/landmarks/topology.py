"""Index tables of the face mesh: vertices that refinement heads replace, and the 68-point layout.

The mesh has 468 vertices and ten more for the irises (468 to 472 the person's right, 473 to 477
the left; the first of each five is the centre). "right" is the person's right, on the left of a
picture.
"""

from __future__ import annotations

MESH_POINTS = 478
IRIS_POINTS = 5

# Vertices that the lip head predicts, in its output order.
LIPS = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409),
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415),
    *(76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408),
    *(62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407),
)

# Vertices that the two eye heads predict: the eyelid, rings around it, and the brow. The first
# sixteen are the contour of the eye.
RIGHT_EYE = (
    *(33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173),
    *(130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190),
    *(226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189),
    *(35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156),
    *(70, 63, 105, 66, 107, 55, 193),
)
LEFT_EYE = (
    *(263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398),
    *(359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414),
    *(446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413),
    *(265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465, 383),
    *(300, 293, 334, 296, 336, 285, 417),
)
EYE_CONTOUR = 16
RIGHT_IRIS = tuple(range(468, 473))
LEFT_IRIS = tuple(range(473, 478))

# The two vertices whose connecting line is horizontal in a region that a refinement head looks at.
LIPS_AXIS = (61, 291)
RIGHT_EYE_AXIS = (33, 133)
LEFT_EYE_AXIS = (362, 263)

# Outer eye corners: their line is horizontal in a landmark crop.
EYE_LINE = (33, 263)

# iBUG 68-point layout out of the mesh.
MESH_TO_68 = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107),
    *(336, 296, 334, 293, 301),
    *(168, 197, 5, 4),
    *(75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144),
    *(362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)

# The six key points of the detectors out of the mesh: both iris centres, nose tip, the two inner
# lips (averaged), both ears.
RIGHT_PUPIL, LEFT_PUPIL, NOSE_TIP, INNER_LIPS, EARS = 468, 473, 1, (13, 14), (234, 454)
