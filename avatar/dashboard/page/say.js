// What the stage says: one sentence about what is so now, and the one button that helps.

import { advise } from "./advice.js";
import { chosenAvatar, chosenCard, chosenTitle, pictureOf } from "./avatars.js";
import { ask, byId, setText } from "./dom.js";
import { openEnrolment } from "./enrol.js";
import { label } from "./label.js";
import { asking, driven, lendWebcam, lentElsewhere, trouble, useThisOnes, useWebcam } from "./own_camera.js";
import { change, live, onFailure, reached, retry, running, start, value, watch } from "./run.js";
import { request } from "./server.js";
import { clear, showPoster, want } from "./stage.js";

const OPENING_S = 8; // that a camera may take until its first picture

let camera = ""; // that drives, and what it gave:
let looked = false; // pictures came
let silentSeconds = 0; // none does, by now
let faceless = false;
let calibrated = 1;
let failure = ""; // of what the person asked for last
let everReached = false;

/** Every second: what the camera gave. */
export function secondSeen(figures) {
  looked ||= !figures.idle;
  silentSeconds = figures.idle ? silentSeconds + 1 : 0;
  ({ faceless, calibrated } = figures);
  show();
}

/** Words of the state, and whether the avatar moves with somebody now. */
function state() {
  if (!reached) return [everReached ? "Not connected" : "Connecting", false];
  if (live.state === "starting") return ["Waking up", false];
  if (live.state === "stopping") return ["Going to sleep", false];
  if (live.state === "off") return [live.problem ? "Stopped" : "Off", false];
  if (value("frozen")) return ["Frozen", false];
  if (value("paused")) return ["Paused", false];
  if (driven() && live.locked) return ["Locked", false];
  return driven() && looked && silentSeconds < 2 && !faceless ? ["Live", true] : ["Idling", false];
}

/** [sentence, [words of the button, what it does]] */
function sentence() {
  const name = chosenTitle();
  if (!reached) {
    return everReached ? ["Lost visavis. If it was stopped, start it again and open the link that it prints.", ["Try again", retry]] : [""];
  }
  if (failure) return [failure, ["OK", () => fail("")]];
  if (trouble) return [trouble, ["Try again", useWebcam]];
  if (live.state === "stopping") return [""];
  if (live.state === "starting") return [`${name} wakes up…`];
  if (live.state === "off") {
    if (!name) return ["Nobody is here yet. Make a face of a few photos, or of your webcam.", ["Make your own", openEnrolment]];
    return [live.problem ?? `${name} is asleep.`, [live.problem ? "Start again" : `Wake ${name} up`, () => start(chosenAvatar(), label())]];
  }
  if (value("frozen")) return ["Frozen: the picture stands still.", ["Go on", () => change({ frozen: false })]];
  if (value("paused")) return [`Paused: ${name} idles, and nobody sees what you do.`, ["Go on", () => change({ paused: false })]];
  if (!driven()) return [`Bring ${name} to life.`, ["Use my webcam", useWebcam]];
  if (live.locked) return [live.locked, ["Unlock…", unlock]];
  if (nobodyLends()) return [`Bring ${name} to life.`, ["Use my webcam", lendWebcam]];
  if (!looked && silentSeconds < OPENING_S && !lentElsewhere()) {
    return [silentSeconds && asking() ? "Allow the webcam, where your browser asks for it." : "Looking through your camera…"];
  }
  return [""];
}

/** The browser's camera is to drive, as a command has asked for, and no window gives it. */
const nobodyLends = () => lentElsewhere() && !looked && silentSeconds > 1;

/** Which window's webcam it is, where that is another's. */
function lent() {
  if (!lentElsewhere() || nobodyLends()) return "";
  return silentSeconds < 2 ? "Your camera is lent from another window." : "Your camera was lent from another window, and gives no picture now.";
}

/** What there is to say while the avatar moves is said beside it. */
function sayBeside(moves) {
  const now = running() && !nobodyLends() ? live.hint : null;
  advise("lent", lent(), [["Use this one’s", useThisOnes]]);
  advise("hint", now?.text ?? "", now ? help(now.change) : []);
  advise("learning", moves && calibrated < 1 ? "Look straight at the camera, mouth closed: it learns your face." : "");
}

/** The buttons for what visavis advises, where that may be done now: [words, what it does] each. */
function help(advised) {
  if (!advised) return silentSeconds ? [["Try again", again]] : [];
  return value("recording") || value("virtual_camera") ? [] : [["Use a smaller picture", () => change(advised)]];
}

function show() {
  everReached ||= reached;
  if (camera !== value("camera")) {
    [camera, looked, silentSeconds, faceless, calibrated] = [value("camera"), false, 0, false, 1];
  }
  const [words, moves] = state();
  setText(byId("live-state"), words);
  byId("live-state").className = moves ? "pill on" : "pill";
  byId("stage").dataset.state = reached ? live.state : "gone";
  const [text, button] = sentence();
  byId("say").hidden = !text;
  setText(byId("say-text"), text);
  if (!button && document.activeElement === byId("say-act")) byId("live-title").focus(); // not nowhere
  byId("say-act").hidden = !button;
  if (button) {
    setText(byId("say-act"), button[0]);
    byId("say-act").onclick = button[1];
  }
  sayBeside(moves);
  showPicture();
}

function showPicture() {
  if (!reached || live.state === "off") clear();
  else want();
  const card = chosenCard();
  if (card) pictureOf(card).then(showPoster, () => {});
  else showPoster("");
}

function fail(text) {
  failure = text;
  show();
}

async function again() {
  const camera = value("camera");
  await change({ camera: "" });
  await change({ camera });
}

function unlock() {
  const question = { title: "Why may somebody else move this face?", text: "The reason is kept with the avatar.", yes: "Unlock", input: "", label: "Reason" };
  return ask(question, (reason) => request("PATCH", "/api/dashboard/live", { unlock: reason }));
}

onFailure(fail);
watch(show);
