// The live picture, its figures and its settings.

import { chosenAvatar, onChoice } from "./avatars.js";
import { byId, make, setText, tell } from "./dom.js";
import { paintGraph } from "./graph.js";
import { label, prepareLabel, showLabel } from "./label.js";
import { request, upload } from "./server.js";

const REGIONS = { mouth: "Mouth", eyes: "Eyes", brows: "Brows", head: "Head" };
const FRAMINGS = {
  "512x512": "Square, 512",
  "640x480": "4:3, 640 × 480",
  "1280x720": "Wide, 1280 × 720",
  "1920x1080": "Wide, 1920 × 1080",
};
const STATES = { off: "Off", starting: "Starting", running: "Live", stopping: "Stopping" };
const KEPT_S = 120;

let live = { state: "off" };
let seconds = [];
let seen = new Set();
let askForPicture = () => {};
let waiting = false; // a picture was asked for, and has not come
let visible = true;
let hasPicture = false; // a background was sent
let pictures = 0; // how many were sent
let picturesShown = 0; // at the last start
const kept = { mirror: localStorage.getItem("mirror") === "yes", follow: localStorage.getItem("follow") === "yes" };

// What can be chosen

export async function loadChoices() {
  let choices;
  try {
    choices = await request("GET", "/api/dashboard/choices");
  } catch (error) {
    return tell(byId("live-problem"), error.message);
  }
  fill(byId("camera"), choices.cameras, "camera");
  tell(
    byId("camera-note"),
    choices.cameras.length ? "" : "No camera was found. Plug one in, then press ↻. Until then the avatar cannot be driven.",
  );
  const engines = choices.engines.map((engine) => ({
    id: engine.id,
    name: engine.problem ? `${engine.name} (not here)` : engine.name,
    disabled: Boolean(engine.problem),
    title: engine.problem ?? "",
  }));
  fill(byId("engine-choice"), engines, "engine");
  fill(byId("size"), choices.sizes.map((id) => ({ id, name: FRAMINGS[id] ?? id })), "size");
  const { problem, name } = choices.virtual_camera;
  byId("virtual-camera").disabled = Boolean(problem);
  if (problem) byId("virtual-camera").checked = false;
  tell(byId("virtual-camera-note"), name);
  byId("virtual-camera-help").hidden = !problem;
  setText(byId("virtual-camera-problem"), problem ?? "");
  setText(byId("recording-note"), `into ${choices.recordings}`);
  hasPicture = choices.picture;
  showButtons();
}

function fill(select, options, key) {
  const before = select.value || localStorage.getItem(key);
  select.replaceChildren(
    ...options.map(({ id, name, disabled = false, title = "" }) => make("option", { value: id, disabled, title }, name)),
  );
  if (options.some(({ id, disabled }) => id === before && !disabled)) select.value = before;
  select.disabled = options.length === 0;
}

function wish() {
  return {
    avatar: chosenAvatar(),
    camera: byId("camera").value,
    engine: byId("engine-choice").value,
    virtual_camera: byId("virtual-camera").checked,
    recording: byId("recording").checked,
    size: byId("size").value,
    background: byId("background").value === "colour" ? byId("colour").value : byId("background").value,
    ...kept,
    expression: byId("expression").value,
    remember: byId("remember").checked,
    label: label(),
  };
}

const SETTINGS = ["camera", "engine", "virtual_camera", "recording", "size", "background"];

// News

export function showLive(now, avatars) {
  const was = live.state;
  live = now;
  if (now.state === "starting" || now.state === "off") seen = new Set();
  if (now.state !== "off") takeOver(now, was);
  if (now.seconds.length && seconds.length === 0) seconds = now.seconds;
  if (now.state === "starting" && was !== "starting") seconds = [];
  const state = now.problem && now.state === "off" ? "Failed" : STATES[now.state];
  setText(byId("live-state"), state);
  byId("live-state").classList.toggle("on", now.state === "running");
  byId("live-state").classList.toggle("bad", state === "Failed");
  byId("stage").classList.toggle("running", now.state === "running");
  setText(byId("stage-text"), stageText(now, avatars));
  tell(byId("live-problem"), now.problem);
  setText(byId("engine"), now.engine ? `${now.engine.backend} on ${now.engine.device}, ${now.engine.precision}` : "");
  byId("engine").title = now.engine_line ?? "";
  showLog(now.said);
  if (now.controls) showControls(now.controls);
  if (now.state === "off") {
    clearPicture();
    clearFigures();
  } else wantPicture();
  showButtons();
  paintGraph(byId("graph"), seconds);
}

/** The settings with which it runs: another window, or the command line, may have started it. */
function takeOver(now, was) {
  if (was !== "off" || !now.wish) return;
  const { wish: given } = now;
  for (const [id, value] of [["camera", given.camera], ["engine-choice", given.engine], ["size", given.size]]) byId(id).value = value;
  const colour = given.background.startsWith("#");
  byId("background").value = colour ? "colour" : given.background;
  if (colour) byId("colour").value = given.background;
  byId("virtual-camera").checked = given.virtual_camera;
  byId("recording").checked = given.recording;
  showBackground();
}

function stageText(now, avatars) {
  if (now.state === "starting") return "Starting: the camera, the face tracker and the engine.";
  if (now.state === "stopping") return "Stopping";
  if (now.state === "running") return "";
  if (!avatars.some((avatar) => !avatar.problem)) return "Make an avatar first: it will be shown here.";
  if (now.problem) return "It could not go on. Below is why.";
  return byId("camera").value ? "Choose an avatar, then press Start." : "There is no camera to drive the avatar.";
}

export function secondArrived(second) {
  seconds = [...seconds, second].slice(-KEPT_S);
  setText(byId("fps"), second.fps.toFixed(1));
  setText(byId("latency"), Math.round(second.p50_ms).toString());
  setText(byId("slowest"), Math.round(second.p99_ms).toString());
  setText(byId("drops"), second.drops.toString());
  byId("drops").parentElement.title = Object.entries(second.dropped).map(([hop, count]) => `${hop}: ${count}`).join("\n");
  const hints = [];
  if (second.idle) hints.push("No pictures come from the camera: the avatar idles. Check its cable, and whether another program uses it.");
  else if (second.faceless) hints.push("The camera sees no face: the avatar idles. Sit in front of it, in good light.");
  else if (second.calibrated < 1) hints.push("Calibrating: look straight at the camera, mouth closed.");
  tell(byId("live-hint"), hints.join("\n"));
  setText(byId("level"), second.level && second.level !== "full" ? `Busy computer: ${second.level}.` : "");
  paintGraph(byId("graph"), seconds);
}

/** What is shown is no longer known to be so. */
export function connectionLost() {
  setText(byId("live-state"), "Unknown");
  byId("live-state").className = "pill bad";
  byId("stage").classList.remove("running");
  setText(byId("stage-text"), "visavis does not answer. If it was stopped, start it again and open the link that it prints.");
  clearPicture();
  clearFigures();
}

function clearFigures() {
  for (const id of ["fps", "latency", "slowest", "drops"]) setText(byId(id), "–");
  tell(byId("live-hint"), "");
  setText(byId("level"), "");
}

function showLog(lines) {
  const log = byId("log");
  for (const line of lines) {
    if (seen.has(line)) continue;
    seen.add(line);
    log.append(make("p", {}, line));
    while (log.children.length > 50) log.firstChild.remove();
  }
}

function showControls(controls) {
  for (const id of Object.keys(kept)) press(id, controls[id]);
  byId("expression").value = controls.expression;
  byId("remember").checked = controls.remember;
  showLabel(controls.label);
  press("paused", controls.paused);
  press("frozen", controls.frozen);
  for (const region of Object.keys(REGIONS)) {
    const slider = byId(`gain-${region}`);
    if (document.activeElement !== slider) slider.value = controls.gains[region];
    setText(byId(`gain-${region}-shown`), percent(slider.value));
  }
}

function showButtons() {
  const { state } = live;
  const start = byId("start");
  setText(start, state === "off" ? "Start" : state === "stopping" ? "Stopping" : "Stop");
  start.classList.toggle("primary", state === "off");
  start.disabled = state === "stopping" || (state === "off" && !(chosenAvatar() && byId("camera").value));
  for (const id of ["calibrate", "paused", "frozen"]) byId(id).disabled = state !== "running";
  for (const input of document.querySelectorAll("#gains input, #gains-reset")) input.disabled = state !== "running";
  if (state !== "running") for (const id of ["paused", "frozen"]) press(id, false);
  if (state === "off") for (const [id, on] of Object.entries(kept)) press(id, on);
  const now = wish();
  const incomplete = now.background === "picture" && !hasPicture;
  if (state === "off" && incomplete) start.disabled = true;
  const differs = state === "running" && (SETTINGS.some((key) => now[key] !== live.wish[key]) || (now.background === "picture" && pictures !== picturesShown));
  byId("restart").hidden = !differs || incomplete;
}

const press = (id, on) => byId(id).setAttribute("aria-pressed", String(Boolean(on)));
const pressed = (id) => byId(id).getAttribute("aria-pressed") === "true";
const percent = (gain) => `${Math.round(gain * 100)} %`;

// The picture

/** `ask` asks visavis for one picture. */
export function pictureWanted(ask) {
  askForPicture = ask;
  waiting = false;
  wantPicture();
}

function wantPicture() {
  if (waiting || document.hidden || !visible || live.state === "off") return;
  waiting = true;
  askForPicture();
}

export async function pictureArrived(blob) {
  waiting = false;
  try {
    const bitmap = await createImageBitmap(blob);
    const canvas = byId("picture");
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
    }
    if (live.state !== "off") canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
  } finally {
    wantPicture();
  }
}

function clearPicture() {
  const canvas = byId("picture");
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

document.addEventListener("visibilitychange", wantPicture);
new IntersectionObserver(([entry]) => {
  visible = entry.isIntersecting;
  wantPicture();
}).observe(byId("stage"));
new ResizeObserver(() => paintGraph(byId("graph"), seconds)).observe(byId("graph"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => paintGraph(byId("graph"), seconds));

// What the person does

async function attempt(method, body) {
  try {
    await request(method, "/api/dashboard/live", body);
    return true;
  } catch (error) {
    tell(byId("live-problem"), error.message);
    return false;
  }
}

async function start() {
  tell(byId("live-problem"), "");
  tell(byId("camera-problem"), "");
  picturesShown = pictures;
  await attempt("POST", wish());
}

byId("start").onclick = () => (live.state === "off" ? start() : attempt("DELETE"));
byId("restart").onclick = async () => {
  byId("restart").disabled = true;
  if (await attempt("DELETE")) {
    while (live.state !== "off") await new Promise((resolve) => setTimeout(resolve, 100));
    await start();
  }
  byId("restart").disabled = false;
  byId("start").focus();
};
byId("calibrate").onclick = () => attempt("PATCH", { calibrate: true });
for (const id of Object.keys(kept)) {
  byId(id).onclick = () => {
    kept[id] = !pressed(id);
    localStorage.setItem(id, kept[id] ? "yes" : "no");
    press(id, kept[id]);
    if (live.state === "running") attempt("PATCH", { [id]: kept[id] });
  };
}
byId("expression").value = localStorage.getItem("expression") ?? "auto";
byId("expression").onchange = ({ target }) => {
  localStorage.setItem("expression", target.value);
  if (live.state === "running") attempt("PATCH", { expression: target.value });
};
byId("remember").checked = localStorage.getItem("remember") === "yes";
byId("remember").onchange = async ({ target }) => {
  localStorage.setItem("remember", target.checked ? "yes" : "no");
  if (target.checked) {
    if (live.state === "running") attempt("PATCH", { remember: true });
    return;
  }
  try {
    await request("DELETE", "/api/dashboard/drivers");
  } catch (error) {
    tell(byId("live-problem"), error.message);
  }
};
prepareLabel(() => {
  if (live.state === "running") attempt("PATCH", { label: label() });
});
for (const id of ["paused", "frozen"]) byId(id).onclick = () => attempt("PATCH", { [id]: !pressed(id) });

onChoice((name) => {
  if (live.state === "running") attempt("PATCH", { avatar: name });
  showButtons();
});

function showBackground() {
  byId("colour-label").hidden = byId("background").value !== "colour";
  byId("picture-choice").hidden = byId("background").value !== "picture";
  if (!byId("picture-note").textContent) setText(byId("picture-note"), hasPicture ? "The last one is kept." : "None is chosen yet.");
}

byId("picture-file").onchange = async ({ target }) => {
  const [file] = target.files;
  if (!file) return;
  const note = byId("picture-note");
  setText(note, "Sending");
  try {
    await upload("/api/dashboard/background", file, (share) => setText(note, share < 1 ? `Sending: ${Math.round(share * 100)} %` : "Looking at it"));
    hasPicture = true;
    pictures += 1;
    setText(note, file.name);
  } catch (error) {
    setText(note, error.message);
  }
  target.value = "";
  showButtons();
};

byId("look-again").onclick = loadChoices;
byId("settings").onsubmit = (event) => event.preventDefault();
byId("settings").onchange = () => {
  showBackground();
  for (const [id, key] of [["camera", "camera"], ["engine-choice", "engine"], ["size", "size"]]) localStorage.setItem(key, byId(id).value);
  showButtons();
};

for (const [region, name] of Object.entries(REGIONS)) {
  const slider = make("input", { type: "range", min: 0, max: 2, step: 0.1, value: 1, id: `gain-${region}`, disabled: true });
  const shown = make("output", { id: `gain-${region}-shown` }, "100 %");
  slider.oninput = () => setText(shown, percent(slider.value));
  slider.onchange = () => attempt("PATCH", { gains: { [region]: Number(slider.value) } });
  byId("gains").append(make("label", {}, `${name} `, shown, slider));
}
byId("gains-reset").onclick = () => attempt("PATCH", { gains: { mouth: 1, eyes: 1, brows: 1, head: 1 } });
