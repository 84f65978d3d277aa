"""One photo becomes an avatar, which a second photo drives: who is on the first looks as the face on the second does.

    python examples/photo_to_picture.py anna.jpg driver.jpg picture.png

Enrol only yourself, or somebody who has agreed.
"""

import sys
from pathlib import Path

from PIL import Image

import avatar

photo, driver, output = sys.argv[1:]

person = avatar.enroll([photo], "somebody", keep=False, progress=print)
# a single picture has no rest pose to be relative to: the head is taken as it is
with avatar.Puppet(person, avatar.LiveOptions(mode="absolute"), patient=True) as puppet:
    picture = puppet.drive(avatar.load_photo(Path(driver)))
Image.fromarray(picture).save(output)
print(f"{output}: {picture.shape[1]} x {picture.shape[0]}, driven by {driver}")
