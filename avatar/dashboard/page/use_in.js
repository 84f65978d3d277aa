// The virtual camera: one button turns it on, and says where to click in the program that shall show it.

import { APPS } from "./apps.js";
import { offerCamera } from "./camera_set_up.js";
import { choices, loadChoices, watchChoices } from "./choices.js";
import { byId, make, setText, tell } from "./dom.js";
import { driven, useWebcam } from "./own_camera.js";
import { change, live, running, value, watch } from "./run.js";

const dialog = byId("use-in");
let app = APPS[0];
let offered = ""; // for what the way to another camera is shown
let opening = false; // it is being looked what this computer has

const on = () => running() && Boolean(live.wish?.virtual_camera);
/** PipeWire's camera, which not every program sees. */
const pipewire = () => /pipewire/i.test(choices.virtual_camera.name);

async function open() {
  [offered, opening] = ["", true];
  show();
  if (!dialog.open) dialog.showModal();
  await loadChoices();
  if (!choices.virtual_camera.problem) await change({ virtual_camera: true });
  opening = false;
  show();
}

/** There is another camera now. */
async function reopen() {
  if (on()) await change({ virtual_camera: false });
  await open();
}

function show() {
  const { problem } = choices.virtual_camera;
  const state = byId("virtual-camera-state");
  state.classList.toggle("on", on());
  setText(state, words(problem));
  byId("apps").hidden = Boolean(problem) && !on();
  byId("app-steps").hidden = byId("apps").hidden || unseen();
  tell(byId("app-note"), unseen() ? `${app.name} does not see a camera of this kind.` : on() && pipewire() ? app.pipewire : "");
  byId("virtual-camera-off").hidden = !on();
  byId("use-in-webcam").hidden = !on() || driven();
  byId("to-apps").classList.toggle("on", on());
  setText(byId("to-apps"), on() ? "In use as a camera" : "Use in Zoom, Meet, Teams…");
  if (dialog.open && !opening) offer(problem && !on() ? "all" : unseen() ? app.id : "");
}

/** The chosen program cannot see the camera that there is. */
const unseen = () => on() && pipewire() && !app.pipewire;

function words(problem) {
  if (on()) return "Your avatar is a camera of this computer now.";
  if (opening || (value("virtual_camera") && running())) return "Turning the camera on…";
  if (problem) return "This computer needs a virtual camera first, once.";
  return running() ? "The camera is off." : "Nobody is awake: wake a face up first.";
}

function offer(why) {
  byId("camera-set-up").hidden = !why;
  if (why && why !== offered) offerCamera(byId("camera-set-up"), reopen);
  offered = why;
}

function choose(id) {
  app = APPS.find((one) => one.id === id) ?? APPS[0];
  localStorage.setItem("app", app.id);
  byId("app-steps").replaceChildren(...app.steps.map((step) => make("li", {}, step)));
  for (const radio of byId("app-choice").querySelectorAll("input")) radio.checked = radio.value === app.id;
  show();
}

for (const { id, name } of APPS) {
  const radio = make("input", { type: "radio", name: "app", value: id, className: "visually-hidden" });
  radio.onchange = () => choose(id);
  byId("app-choice").append(make("label", {}, radio, name));
}
choose(localStorage.getItem("app"));
byId("to-apps").onclick = open;
byId("use-in-close").onclick = byId("use-in-done").onclick = () => dialog.close();
byId("use-in-webcam").onclick = () => {
  dialog.close();
  useWebcam();
};
byId("virtual-camera-off").onclick = () => change({ virtual_camera: false });
watch(show);
watchChoices(show);
