// The liveness challenge: the webcam's pictures go to visavis, which asks for one gesture after the other.

import { byId, setText, showSteps, tell } from "./dom.js";
import { request } from "./server.js";
import { Webcam } from "./webcam.js";

const SENT_PX = 640;
const EVERY_MS = 50; // eyes that close for a moment must not be missed
const MOST_FLYING = 2; // the next picture is made while the last one is looked at

const webcam = new Webcam(byId("proof-self"));
let running = 0;

/** From the person's click on. */
export async function startChallenge() {
  const run = ++running;
  show({ say: "Starting the webcam", gesture: "", done: 0, asked: 4, failure: "" });
  tell(byId("proof-problem"), "");
  byId("proof-begin").disabled = true;
  try {
    if (!(await webcam.open(() => end("The webcam has gone. Plug it in again, then press “Begin”.")))) return;
    showChallenge(true);
    await request("POST", "/api/dashboard/challenge");
  } catch (error) {
    if (run === running) end(error.message);
    return;
  } finally {
    byId("proof-begin").disabled = false;
  }
  byId("proof-shows").scrollIntoView({ block: "nearest" });
  byId("proof-stop").focus({ preventScroll: true });
  let flying = 0;
  while (run === running) {
    const started = performance.now();
    const picture = flying < MOST_FLYING && (await webcam.picture(SENT_PX, 0.85));
    if (picture) {
      flying += 1;
      send(picture, run).finally(() => (flying -= 1));
    }
    await pause(EVERY_MS - (performance.now() - started));
  }
}

async function send(picture, run) {
  try {
    const told = await request("POST", "/api/dashboard/challenge/see", picture);
    if (run === running && told.say) show(told);
  } catch (error) {
    if (run === running) tell(byId("proof-problem"), error.message);
    await pause(1000);
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));

export function stopChallenge() {
  running += 1;
  webcam.close();
  showChallenge(false);
}

export const challengeRuns = () => !byId("proof-shows").hidden;

function end(problem) {
  stopChallenge();
  tell(byId("proof-problem"), problem);
}

function showChallenge(on) {
  byId("proof-shows").hidden = byId("proof-stop").hidden = !on;
  byId("proof-asks").hidden = byId("proof-begin").hidden = byId("proof-leave").hidden = on;
}

function show({ say, gesture, done, asked, failure }) {
  setText(byId("proof-say"), say);
  byId("proof-viewfinder").dataset.way = gesture;
  byId("proof-viewfinder").classList.toggle("good", gesture === "");
  tell(byId("proof-failure"), failure ? `That was not it: ${failure}. Once more, in another order.` : "");
  const numbers = Array.from({ length: asked }, (_, index) => `${index + 1}`);
  showSteps(byId("proof-steps"), numbers, done, (index) => index < done);
}
