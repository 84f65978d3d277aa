"""How fast a live run is: time per stage, glass to glass through a camera, hours of soak, two profiles compared."""
