// The camera that moves the face: which one, on and off; and this browser's own picture in the corner of the stage.

import { choices, loadChoices, watchChoices } from "./choices.js";
import { byId, make, tell } from "./dom.js";
import { LentDevice } from "./lent_device.js";
import { followOwn } from "./points.js";
import { change, live, reached, running, value, watch } from "./run.js";

const BROWSER = "browser"; // this page's own camera, which it lends; the others visavis opens itself
const WHIP = "whip"; // another program's: never the first choice
const SILENT_MS = 10_000; // without visavis for so long, nothing drives any more, and the webcam goes off
const HEARD_MS = 300; // until every window has heard of a change
const LOCK = "visavis-webcam"; // held by the one window of this browser that lends it
const CHOSEN = "webcam-chosen";

/** Why there is no picture of the webcam; "" while nothing is wrong. */
export let trouble = "";
let giveBack = null; // ends the lock, while it is held
let asked = false; // for the lock
let chosenHere = sessionStorage.getItem(CHOSEN) === "true"; // the browser's camera, by a person, in this window
let silence = 0; // the timer, while visavis does not answer

const webcam = new LentDevice({
  name: "webcam",
  constraints: { video: { width: 640, height: 480 } },
  gone: "The webcam has gone. Plug it in, then try again.",
  say: (text) => {
    trouble = text;
    if (text) change({ camera: "" });
  },
  changed: showOwn,
});

export const driven = () => Boolean(value("camera"));
/** The browser has not given the webcam yet. */
export const asking = () => Boolean(giveBack) && !webcam.on;
/** Another window lends its webcam, or did: a window opens its own only where a person chose that. */
export const lentElsewhere = () => wanted() && !chosenHere;

/** One click: the camera chosen last, else this browser's, else the first of this computer. */
export async function useWebcam() {
  trouble = "";
  if (choices.cameras.length === 0) await loadChoices();
  const [first] = [localStorage.getItem("camera"), BROWSER, choices.cameras.find(({ id }) => id !== WHIP)?.id].filter(listed);
  if (first) return choose(first);
  trouble = "No webcam was found. Plug one in, then try again.";
  return change({ camera: "" });
}

export const stopWebcam = () => choose("");

/** The webcam of this window, where the browser's is wanted and none is lent. */
export function lendWebcam() {
  remember(true);
  return follow();
}

/** The webcam of this window, in place of another's. */
export async function useThisOnes() {
  await change({ camera: "" }); // the other window gives its own back, once it has heard of this
  await new Promise((resolve) => setTimeout(resolve, HEARD_MS));
  return choose(BROWSER);
}

/** By a click in this window. */
function choose(camera) {
  remember(camera === BROWSER);
  return change({ camera });
}

/** Of this tab, also after a reload. */
function remember(here) {
  if (here === chosenHere) return;
  chosenHere = here;
  sessionStorage.setItem(CHOSEN, String(here));
}

const listed = (id) => choices.cameras.some((camera) => camera.id === id);

const wanted = () => running() && live.wish.camera === BROWSER;
const lends = () => wanted() && chosenHere;

/** The browser's camera follows what runs: on while it drives, off as soon as it does not. */
async function follow() {
  showChoice();
  if (running() && value("camera") !== BROWSER) remember(false); // whoever wants it again clicks again
  if (!reached) {
    silence ||= setTimeout(() => webcam.want(false), SILENT_MS);
    return;
  }
  clearTimeout(silence);
  silence = 0;
  if (lends() && !asked) {
    asked = true;
    hold(() => new Promise((end) => ((giveBack = end), follow())));
  }
  if (!giveBack) return;
  const want = lends();
  await webcam.want(want);
  if (want !== lends()) return follow(); // meanwhile
  if (want || webcam.on) return;
  giveBack?.();
  giveBack = null;
  asked = false;
}

const hold = (act) => (navigator.locks ? navigator.locks.request(LOCK, act) : act());

function showChoice() {
  const select = byId("camera");
  const cameras = [{ id: "", name: "Nothing: it idles" }, ...choices.cameras];
  if (select.options.length !== cameras.length || cameras.some(({ id }, at) => select.options[at].value !== id)) {
    select.replaceChildren(...cameras.map(({ id, name }) => make("option", { value: id }, name)));
  }
  select.value = value("camera") ?? "";
  tell(byId("camera-note"), choices.cameras.length ? "" : "No camera was found. Plug one in, then press ↻.");
}

function showOwn() {
  const { stream } = webcam;
  const hidden = localStorage.getItem("own-camera") === "hidden";
  byId("own-camera").hidden = !stream || hidden;
  byId("own-show").hidden = !stream || !hidden;
  if (byId("own-picture").srcObject !== stream) byId("own-picture").srcObject = stream;
  followOwn();
}

function showMyself(shown) {
  localStorage.setItem("own-camera", shown ? "shown" : "hidden");
  showOwn();
  byId(shown ? "own-hide" : "own-show").focus();
}

byId("own-hide").onclick = () => showMyself(false);
byId("own-show").onclick = () => showMyself(true);
byId("camera").onchange = ({ target }) => {
  trouble = "";
  if (target.value) localStorage.setItem("camera", target.value);
  choose(target.value);
};
byId("look-again").onclick = loadChoices;
navigator.mediaDevices?.addEventListener("devicechange", () => reached && loadChoices());
watch(follow);
watchChoices(showChoice);
