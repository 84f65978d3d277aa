"""What `PhotoReader` and its process say to each other, by pipes.

Requests: length and bytes of a file's name. Replies: height and width of a picture whose RGB follows, or the length of
a text that says, after the file's name, why there is none.
"""

import struct

MAX_TEXT_BYTES = 4096
LIMIT_S = 30.0  # for one picture; 200 megapixels take 3 s on two cores
STARTED = b"s"
REQUEST = struct.Struct("<I")
REPLY = struct.Struct("<III")
