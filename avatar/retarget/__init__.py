"""From the driver's face to the avatar's: `Retargeter` turns each FaceState into a `Driving`, and draws nothing."""
