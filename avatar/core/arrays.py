"""Names of the two kinds of array that nearly everything here is made of. Shapes stand where they are used."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Picture = NDArray[np.uint8]  # (H, W, 3) RGB, or several of them
