// The buttons under the picture.

import { byId, icon } from "./dom.js";
import { driven, stopWebcam } from "./own_camera.js";
import { change, live, running, stop, value, watch } from "./run.js";

const ICONS = {
  webcam: "M4 7h10v10H4zM14 11l6-3.5v9L14 13M3 3l18 18",
  pause: "M9 5v14M15 5v14",
  freeze: "M12 3v18M4.2 7.5l15.6 9M19.8 7.5l-15.6 9",
  centre: "M12 8.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 1 0 0-7M12 2v3M12 19v3M2 12h3M19 12h3",
  record: "M12 6a6 6 0 1 0 0 12a6 6 0 1 0 0-12",
  power: "M12 3v8M7 6.5a7.5 7.5 0 1 0 10 0",
};

function show() {
  for (const id of ["webcam-off", "paused", "frozen", "calibrate"]) byId(id).hidden = !running() || !driven();
  for (const id of ["paused", "frozen"]) byId(id).setAttribute("aria-pressed", String(Boolean(value(id))));
  byId("turn-off").hidden = live.state === "off";
  byId("turn-off").disabled = live.state === "stopping";
}

for (const tool of document.querySelectorAll("#tools [data-icon]")) tool.prepend(icon(ICONS[tool.dataset.icon]));
byId("webcam-off").onclick = stopWebcam;
byId("calibrate").onclick = () => change({ calibrate: true });
for (const id of ["paused", "frozen"]) byId(id).onclick = () => change({ [id]: !value(id) });
byId("turn-off").onclick = stop;
watch(show);
