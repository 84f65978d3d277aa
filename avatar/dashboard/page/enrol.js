// A new avatar: photos, a clip or shots of the webcam are collected, the avatar is made, and its person shows that they are there.

import { choose } from "./avatars.js";
import { startCapture, stopCapture } from "./capture.js";
import { challengeRuns, startChallenge, stopChallenge } from "./challenge.js";
import { ask, byId, make, setText, takeFiles, tell } from "./dom.js";
import { accuse, addFiles, addShot, afterUploads, anyShots, anyTiles, clearTiles, named, namesOf, offerWithoutClip, onTiles, ready, setLimits, shownNumbers } from "./photo_tiles.js";
import { request } from "./server.js";

const STEPS = { "enrol-working": ["working"], "enrol-proof": ["proof", "challenge"] }; // element → states

const CONSENT = {
  oneself: "All of it shows me, and I want an avatar of myself. That I said so is recorded in it.",
  agreed: "They have agreed to be shown by this avatar. That, with name and day, is recorded in it.",
  character: "It shows no living person. That I said so is recorded in the avatar.",
  historical: "I may show this person by an avatar. That I said so is recorded in it.",
};

let enrolment = { state: "none", strangers: [] };
let madeHere = false; // by this page
const dialog = byId("enrol");

const busy = () => Object.values(STEPS).flat().includes(enrolment.state);
const forgetAll = () => request("DELETE", "/api/dashboard/enrolment").catch(() => {});

export function openEnrolment() {
  byId("enrol-made").hidden = true;
  if (!busy()) {
    byId("enrol-form").reset();
    byId("same-person").checked = false;
    for (const id of ["enrol-problem", "enrol-name-problem", "capture-problem"]) tell(byId(id), "");
    clearTiles();
    showPerson();
    // what an earlier page left, before the first photo of this one
    afterUploads(() => !busy() && forgetAll());
  }
  showStep();
  dialog.showModal();
}

export function showEnrolment(now) {
  const was = enrolment.state;
  enrolment = now;
  setLimits(now);
  setText(byId("enrol-line"), now.line || "Starting");
  byId("enrol-progress").max = Math.max(1, now.total);
  byId("enrol-progress").value = now.done;
  if (now.state !== "challenge" && challengeRuns() && was === "challenge") stopChallenge();
  if (now.state === "proof") tell(byId("proof-problem"), now.problem ?? "");
  setText(byId("proof-begin"), now.problem ? "Try again" : "Begin");
  if (was !== now.state && now.state === "proof") clearTiles(false);
  showStep();
  showStrangers();
  if (now.state === "failed" && was === "working") showFailure(now);
  if (now.state === "done" && was !== "done" && was !== "none") finish(now);
  byId("enrol-create").disabled = !ready();
}

function showStep() {
  const made = !byId("enrol-made").hidden;
  for (const [id, states] of Object.entries(STEPS)) {
    byId(id).hidden = made || !states.includes(enrolment.state);
  }
  byId("enrol-collect").hidden = made || busy();
  // what had the focus is hidden: whoever cannot see hears where they are
  const focused = document.activeElement;
  const lost = !dialog.contains(focused) || !focused.checkVisibility();
  if (dialog.open && !byId("ask").open && lost) byId("enrol-title").focus({ preventScroll: true });
}

/** Where the eye should be: at the photos that do not belong, or at the button that was pressed. */
function showFailure({ problem, strangers }) {
  if (strangers.length && !byId("same-person").checked) byId("strangers").scrollIntoView({ block: "nearest" });
  else complain(byId("enrol-problem"), named(problem));
}

/** As soon as it is seen, and as it will be judged when the avatar is made. */
function showStrangers() {
  const names = namesOf(enrolment.strangers);
  const look = names.length === 1 ? "looks" : "look";
  setText(byId("strangers-text"), `${names.join(", ")} ${look} like another person than the other photos. Remove what is not the same person, or tick “It is one person”.`);
  byId("strangers").hidden = !names.length;
  accuse(byId("same-person").checked ? [] : enrolment.strangers);
}

function complain(place, text) {
  tell(place, text);
  place.scrollIntoView({ block: "nearest" });
}

function finish({ name, missing }) {
  if (!madeHere && !dialog.open) return; // of another window
  stopChallenge();
  clearTiles(false);
  choose(name);
  if (!missing.length) return close();
  setText(byId("made-text"), `${name} is ready. It would be livelier still if the clip showed more. Next time, also:`);
  byId("made-missing").replaceChildren(...missing.map((advice) => make("li", {}, `${advice.charAt(0).toUpperCase()}${advice.slice(1)}.`)));
  byId("enrol-made").hidden = false;
  showStep();
  byId("made-close").focus();
}

function close() {
  stopCapture();
  stopChallenge();
  clearTiles(false);
  if (dialog.open) dialog.close();
  byId("new-avatar").focus();
}

/** By ✕, Esc or Cancel: nothing is thrown away unasked. */
async function giveUp() {
  if (!byId("enrol-made").hidden || (!busy() && !anyTiles())) {
    close();
    if (!busy()) await forgetAll();
    return;
  }
  if (enrolment.state === "working") return dialog.close(); // it goes on; the button opens this again
  const waits = busy();
  const title = waits ? `Give ${enrolment.name} up?` : "Discard what you added?";
  const text = waits
    ? "The avatar is made, but not kept: it waits for you to show that it is you."
    : "visavis deletes its copies of the photos or the clip. Your own files stay as they are.";
  if (await ask({ title, text, yes: waits ? "Give it up" : "Discard", danger: true }, forgetAll)) close();
}

// What the person does

takeFiles({ input: byId("files"), area: dialog, box: byId("drop") }, (files) => {
  tell(byId("capture-problem"), "");
  if (!busy()) addFiles(files);
});
// photos dropped beside the dialog must not replace the page
window.addEventListener("dragover", (event) => event.preventDefault());
window.addEventListener("drop", (event) => {
  event.preventDefault();
  if (!dialog.open && !byId("avatars").hidden && event.dataTransfer.files.length) {
    openEnrolment();
    if (!busy()) addFiles(event.dataTransfer.files);
  }
});

const useWebcam = () => startCapture(addShot);
byId("use-webcam").onclick = () => offerWithoutClip(useWebcam) && useWebcam();
byId("enrol-close").onclick = byId("enrol-cancel").onclick = giveUp;
dialog.addEventListener("cancel", (event) => {
  event.preventDefault();
  giveUp();
});
// a second Esc would close a dialog whatever is done about "cancel"
dialog.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  event.preventDefault();
  giveUp();
});
byId("shows").onchange = showPerson;
byId("same-person").onchange = showStrangers;
byId("enrol-name").oninput = () => tell(byId("enrol-name-problem"), "");
byId("enrol-stop").onclick = forgetAll;
byId("proof-begin").onclick = startChallenge;
byId("proof-stop").onclick = giveUp;
byId("proof-leave").onclick = () =>
  request("DELETE", "/api/dashboard/challenge").catch((error) => complain(byId("proof-problem"), error.message));
byId("made-close").onclick = close;
onTiles(() => {
  byId("enrol-create").disabled = !ready();
  showStrangers();
  showProofNote();
});

byId("enrol-form").onsubmit = async (event) => {
  event.preventDefault();
  tell(byId("enrol-problem"), "");
  stopCapture();
  byId("enrol-create").disabled = true;
  madeHere = true;
  try {
    await request("POST", "/api/dashboard/enrolment", {
      name: byId("enrol-name").value.trim(),
      photos: shownNumbers(),
      consent: byId("consent").checked ? { kind: byId("shows").value, person: byId("person").value.trim() } : null,
      same_person: byId("same-person").checked,
      proof: asksForProof(),
    });
  } catch (error) {
    complain(byId(error.about === "name" ? "enrol-name-problem" : "enrol-problem"), named(error.message));
    if (error.about === "name") byId("enrol-name").select();
  } finally {
    byId("enrol-create").disabled = !ready();
  }
};

/** Who enrols oneself before the webcam shows that they are there. */
const asksForProof = () => byId("shows").value === "oneself" && anyShots();

function showProofNote() {
  byId("proof-note").hidden = !asksForProof();
}

/** Of a person who has agreed, the name is recorded. */
function showPerson() {
  const agreed = byId("shows").value === "agreed";
  setText(byId("consent-words"), CONSENT[byId("shows").value]);
  byId("person-box").hidden = !agreed;
  byId("person").required = agreed;
  if (!agreed) byId("person").value = "";
  showProofNote();
}
