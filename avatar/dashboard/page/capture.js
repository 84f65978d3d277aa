// The guided capture: visavis looks at the webcam's picture again and again, and keeps the very one with which all is well.

import { byId, setText, showSteps, tell } from "./dom.js";
import { request } from "./server.js";
import { Webcam } from "./webcam.js";

const STEPS = { front: "Straight", left: "Left", right: "Right", up: "Up", smile: "Smile", open: "“Ah”" };
const SHOT_PX = 1280; // width of the picture that is checked, and kept
const EVERY_MS = 160;
const GOOD_IN_A_ROW = 2;
const REST_MS = 900; // after a shot

const webcam = new Webcam(byId("self"));
const names = Object.keys(STEPS);
let running = 0; // counts starts: an old run ends by itself
let taken = new Set();
let at = 0;
let rest = ""; // how the head was turned when it looked straight: cameras stand to a side, or below
let keep = () => {};

/** Open the webcam. `save(blob, name, pose)` gets each shot; nothing else is kept. */
export async function startCapture(save) {
  keep = save;
  const run = ++running;
  tell(byId("capture-problem"), "");
  byId("use-webcam").disabled = true;
  setText(byId("capture-say"), "Starting the webcam");
  byId("capture").hidden = false;
  byId("drop").hidden = true;
  [taken, at, rest] = [new Set(), 0, ""];
  showStep();
  try {
    if (!(await webcam.open(() => end("The webcam has gone. Plug it in again, then press “Use the webcam”.")))) return;
  } catch (error) {
    if (run === running) end(error.message);
    return;
  }
  byId("capture").scrollIntoView({ block: "nearest" });
  byId("shoot").focus({ preventScroll: true });
  watch(run);
}

export function stopCapture() {
  running += 1;
  webcam.close();
  byId("capture").hidden = true;
  byId("drop").hidden = false;
  byId("use-webcam").disabled = false;
}

function end(problem) {
  stopCapture();
  tell(byId("capture-problem"), problem);
  byId("capture-problem").scrollIntoView({ block: "nearest" });
  byId("use-webcam").focus({ preventScroll: true });
}

async function watch(run) {
  let good = 0;
  while (run === running && at < names.length) {
    const started = performance.now();
    const step = names[at];
    const shot = document.hidden ? null : await webcam.picture(SHOT_PX, 0.92);
    if (shot) {
      let found;
      try {
        found = await request("POST", `/api/dashboard/check?pose=${step}${rest}`, shot);
        tell(byId("capture-problem"), "");
      } catch (error) {
        if (run !== running) return;
        tell(byId("capture-problem"), error.message);
        await new Promise((resolve) => setTimeout(resolve, 2000));
        continue;
      }
      if (run !== running || step !== names[at]) continue;
      show(found);
      good = found.good ? good + 1 : 0;
      if (good >= GOOD_IN_A_ROW) {
        good = 0;
        if (step === "front") rest = `&yaw=${found.yaw_deg}&pitch=${found.pitch_deg}`;
        save(shot);
        await new Promise((resolve) => setTimeout(resolve, REST_MS));
      }
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, EVERY_MS - (performance.now() - started))));
  }
  if (run === running) {
    setText(byId("capture-say"), "That is all. Take more, or press “Done with the webcam”.");
    byId("viewfinder").dataset.way = "";
  }
}

function show(found) {
  setText(byId("capture-say"), found.say);
  byId("viewfinder").classList.toggle("good", found.good);
  for (const item of document.querySelectorAll("#capture-checks li")) item.classList.toggle("good", Boolean(found[item.dataset.check]));
}

function save(shot) {
  const step = names[at] ?? "front";
  setText(byId("capture-say"), "Got it");
  keep(shot, `Webcam: ${names[at] ? STEPS[step] : "more"}`, step);
  byId("viewfinder").classList.remove("flash");
  void byId("viewfinder").offsetWidth; // starts the animation anew
  byId("viewfinder").classList.add("flash");
  if (at < names.length) {
    taken.add(step);
    at += 1;
    showStep();
  }
}

function showStep() {
  byId("viewfinder").dataset.way = names[at] ?? "";
  byId("viewfinder").classList.remove("good");
  showSteps(byId("capture-steps"), Object.values(STEPS), at, (index) => taken.has(names[index]));
  byId("skip").disabled = at >= names.length;
}

byId("shoot").onclick = async () => {
  const shot = await webcam.picture(SHOT_PX, 0.92);
  if (shot) save(shot);
};
byId("skip").onclick = () => {
  at += 1;
  showStep();
};
byId("capture-end").onclick = () => {
  stopCapture();
  byId("use-webcam").focus();
};
