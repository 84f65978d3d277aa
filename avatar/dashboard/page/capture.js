// The guided capture: visavis looks at the webcam's picture again and again, and a shot is taken when all is well.

import { byId, make, setText, tell, whyNoMedia } from "./dom.js";
import { request } from "./server.js";

const STEPS = { front: "Straight", left: "Left", right: "Right", smile: "Smile", open: "“Ah”" };
const SENT_PX = 640; // width of the picture that is checked
const EVERY_MS = 160;
const GOOD_IN_A_ROW = 2;
const REST_MS = 900; // after a shot

let stream = null;
let running = 0; // counts starts: an old run ends by itself
let taken = new Set();
let at = 0;
let keep = () => {};
const names = Object.keys(STEPS);

/** Open the webcam. `save(blob, kind)` gets each shot; nothing else is kept. */
export async function startCapture(save) {
  keep = save;
  const run = ++running;
  tell(byId("capture-problem"), "");
  byId("use-webcam").disabled = true;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "user" } });
  } catch (error) {
    byId("use-webcam").disabled = false;
    return tell(byId("capture-problem"), whyNoMedia(error, "webcam"));
  }
  if (run !== running) return stopTracks();
  stream.getVideoTracks()[0].onended = () => {
    stopCapture();
    tell(byId("capture-problem"), "The webcam has gone. Plug it in again, then press “Use the webcam”.");
  };
  taken = new Set();
  at = 0;
  byId("capture").hidden = false;
  byId("drop").hidden = true;
  showSteps();
  const video = byId("self");
  video.srcObject = stream;
  await video.play().catch(() => {});
  byId("capture").scrollIntoView({ block: "nearest" });
  byId("shoot").focus();
  watch(run, video);
}

export function stopCapture() {
  running += 1;
  stopTracks();
  byId("self").srcObject = null;
  byId("capture").hidden = true;
  byId("drop").hidden = false;
  byId("use-webcam").disabled = false;
}

function stopTracks() {
  for (const track of stream?.getTracks() ?? []) {
    track.onended = null;
    track.stop();
  }
  stream = null;
}

async function watch(run, video) {
  let good = 0;
  while (run === running && at < names.length) {
    const started = performance.now();
    const step = names[at];
    if (video.videoWidth && !document.hidden) {
      let found;
      try {
        found = await request("POST", `/api/dashboard/check?pose=${step}`, await picture(video, SENT_PX, 0.85));
        tell(byId("capture-problem"), "");
      } catch (error) {
        if (run !== running) return;
        tell(byId("capture-problem"), error.message);
        await new Promise((resolve) => setTimeout(resolve, 2000));
        continue;
      }
      if (run !== running || step !== names[at]) continue;
      show(found, video);
      good = found.good ? good + 1 : 0;
      if (good >= GOOD_IN_A_ROW) {
        good = 0;
        await shoot(video);
        await new Promise((resolve) => setTimeout(resolve, REST_MS));
      }
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, EVERY_MS - (performance.now() - started))));
  }
  if (run === running) {
    setText(byId("capture-say"), "That is all. Take more, or press “Done with the webcam”.");
    byId("face-box").toggleAttribute("hidden", true);
  }
}

function show(found, video) {
  setText(byId("capture-say"), found.say);
  const box = byId("face-box");
  box.toggleAttribute("hidden", !found.face);
  box.classList.toggle("good", found.good);
  if (found.face) {
    const [x, y, width, height] = found.face;
    for (const [name, value] of Object.entries({ x, y, width, height })) box.firstElementChild.setAttribute(name, value);
    // the part of the element that the picture takes
    const scale = Math.min(video.clientWidth / video.videoWidth, video.clientHeight / video.videoHeight);
    const [wide, high] = [video.videoWidth * scale, video.videoHeight * scale];
    Object.assign(box.style, {
      width: `${wide}px`,
      height: `${high}px`,
      left: `${(video.clientWidth - wide) / 2}px`,
      top: `${(video.clientHeight - high) / 2}px`,
    });
  }
  const state = { light: found.light === "good", sharp: found.sharp, pose: found.pose };
  for (const item of document.querySelectorAll("#capture-checks li")) item.classList.toggle("good", Boolean(state[item.dataset.check]));
}

async function shoot(video) {
  if (!video.videoWidth) return;
  const step = names[at] ?? "more";
  const shot = await picture(video, video.videoWidth, 0.95);
  keep(shot, `Webcam: ${STEPS[step] ?? "more"}`);
  byId("viewfinder").classList.remove("flash");
  void byId("viewfinder").offsetWidth; // starts the animation anew
  byId("viewfinder").classList.add("flash");
  if (at < names.length) {
    taken.add(step);
    at += 1;
    showSteps();
  }
}

function showSteps() {
  byId("capture-steps").replaceChildren(
    ...names.map((name, index) => {
      const item = make("li", { className: taken.has(name) ? "taken" : "" }, STEPS[name]);
      if (index === at) item.setAttribute("aria-current", "step");
      return item;
    }),
  );
  byId("skip").disabled = at >= names.length;
}

function picture(video, width, quality) {
  const canvas = document.createElement("canvas");
  const scale = Math.min(1, width / video.videoWidth);
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
}

byId("shoot").onclick = () => shoot(byId("self"));
byId("skip").onclick = () => {
  at += 1;
  showSteps();
};
byId("capture-end").onclick = () => {
  stopCapture();
  byId("use-webcam").focus();
};
