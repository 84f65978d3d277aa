// A new avatar: photos come in, each is checked by visavis, then the avatar is made of them.

import { choose } from "./avatars.js";
import { startCapture, stopCapture } from "./capture.js";
import { byId, make, setText, takeFiles, tell } from "./dom.js";
import { Refused, request, upload } from "./server.js";

let enrolment = { state: "none", most_photos: 32, most_bytes: 32 << 20 };
let tiles = []; // {name, number, element, gone}: number once visavis has taken it; gone: removed by the person
let queue = Promise.resolve(); // one upload at a time
const dialog = byId("enrol");

export function openEnrolment() {
  if (enrolment.state !== "working") {
    byId("enrol-form").reset();
    showPerson();
    tell(byId("enrol-problem"), "");
    tell(byId("capture-problem"), "");
    clear();
    // what an earlier page left, before the first photo of this one
    queue = queue.then(() => enrolment.state !== "working" && forgetAll());
  }
  showStep();
  dialog.showModal();
}

export function showEnrolment(now) {
  const was = enrolment.state;
  enrolment = now;
  setText(byId("enrol-line"), now.line || "Starting");
  byId("enrol-progress").max = Math.max(1, now.total);
  byId("enrol-progress").value = now.done;
  if (now.state === "failed" && was === "working") tell(byId("enrol-problem"), named(now.problem));
  showStep();
  if (now.state === "done" && was === "working") {
    choose(now.name);
    close();
  }
  showStatus();
}

function showStep() {
  const working = enrolment.state === "working";
  byId("enrol-collect").hidden = working;
  byId("enrol-working").hidden = !working;
}

function clear() {
  for (const tile of tiles) tile.gone = true;
  tiles = [];
  byId("photos").replaceChildren();
  showStatus();
}

function close() {
  stopCapture();
  clear();
  if (dialog.open) dialog.close();
  byId("new-avatar").focus();
}

async function giveUp() {
  if (enrolment.state === "working") return dialog.close(); // it goes on; the button opens this again
  close();
  await forgetAll();
}

const forgetAll = () => request("DELETE", "/api/dashboard/enrolment").catch(() => {});
const forget = (number) => request("DELETE", `/api/dashboard/photos/${number}`).catch(() => {});

// Photos

export function addPhotos(files, kind = "") {
  tell(byId("enrol-problem"), "");
  const room = enrolment.most_photos - tiles.filter((tile) => !tile.element.classList.contains("bad")).length;
  const taken = [...files].slice(0, Math.max(0, room));
  if (taken.length < files.length) tell(byId("enrol-problem"), `Up to ${enrolment.most_photos} photos: the last ${files.length - taken.length} were left out.`);
  for (const file of taken) addPhoto(file, kind || file.name);
}

function addPhoto(file, name) {
  const picture = make("img", { alt: "", src: URL.createObjectURL(file) });
  picture.onload = () => URL.revokeObjectURL(picture.src);
  picture.onerror = () => {
    URL.revokeObjectURL(picture.src);
    element.classList.add("blind"); // a format that only visavis reads, or no picture at all
  };
  const sent = make("progress", { max: 1, value: 0, "aria-label": `Sending ${name}` });
  const verdict = make("p", { className: "verdict" }, "Waiting");
  const remove = make("button", { type: "button", "aria-label": `Remove ${name}` }, "✕");
  const element = make("li", { className: "photo" }, picture, sent, verdict, make("p", {}, name), remove);
  const tile = { name, number: null, element, gone: false };
  remove.onclick = () => removePhoto(tile);
  tiles.push(tile);
  byId("photos").append(element);
  showStatus();
  const judge = (text, mark) => {
    setText(verdict, text);
    verdict.className = `verdict ${mark}`;
    sent.remove();
    element.classList.toggle("bad", mark === "bad");
    showStatus();
  };
  if (file.size > enrolment.most_bytes) {
    return judge(`Larger than ${enrolment.most_bytes >> 20} MB. Save a smaller copy: 4096 pixels wide is plenty.`, "bad");
  }
  if (file.size === 0) return judge("The file is empty. Copy it again.", "bad");
  queue = queue.then(async () => {
    if (tile.gone) return;
    setText(verdict, "Sending");
    try {
      const sending = (share) => {
        sent.value = share;
        if (share === 1) setText(verdict, "Checking");
      };
      const photo = await patiently(() => upload("/api/dashboard/photos", file, sending));
      tile.number = photo.number;
      if (tile.gone) return await forget(tile.number);
      if (photo.reason) judge(sentence(photo.reason), "bad");
      else if (photo.warnings.length) judge(sentence(photo.warnings.join("; ")), "warn");
      else judge("Good", "good");
    } catch (error) {
      if (!tile.gone) judge(error.message, "bad");
    }
  });
}

/** Again after a while where visavis says that there is too much at once. */
async function patiently(act) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 429 || tries >= 5) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

async function removePhoto(tile) {
  tile.gone = true; // if it is on its way, it is deleted once its number is known
  const after = tile.element.nextElementSibling ?? tile.element.previousElementSibling;
  tile.element.remove();
  tiles = tiles.filter((other) => other !== tile);
  (after?.querySelector("button") ?? byId("files")).focus();
  showStatus();
  if (tile.number !== null) await forget(tile.number);
}

function showStatus() {
  const good = tiles.filter((tile) => tile.number !== null && !tile.element.classList.contains("bad")).length;
  const pending = tiles.filter((tile) => tile.number === null && !tile.element.classList.contains("bad")).length;
  const bad = tiles.length - good - pending;
  const words = [];
  if (pending) words.push(`${pending} being checked`);
  if (good) words.push(`${good} can be used`);
  if (bad) words.push(`${bad} cannot`);
  setText(byId("photos-status"), words.length ? `Photos: ${words.join(", ")}.` : "");
  byId("enrol-create").disabled = good === 0 || pending > 0;
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

/** visavis knows photos by number alone; the person by the names of the files. */
const named = (text) => text.replace(/photo-(\d+)/g, (all, number) => tiles.find((tile) => tile.number === Number(number))?.name ?? all);

// What the person does

takeFiles({ input: byId("files"), area: dialog, box: byId("drop") }, (files) => addPhotos(files));
// photos dropped beside the dialog must not replace the page
window.addEventListener("dragover", (event) => event.preventDefault());
window.addEventListener("drop", (event) => {
  event.preventDefault();
  if (!dialog.open && !byId("avatars").hidden && event.dataTransfer.files.length) {
    openEnrolment();
    addPhotos(event.dataTransfer.files);
  }
});

byId("use-webcam").onclick = () => startCapture((shot, kind) => addPhotos([shot], kind));
byId("enrol-close").onclick = byId("enrol-cancel").onclick = giveUp;
dialog.addEventListener("cancel", (event) => {
  event.preventDefault();
  giveUp();
});
byId("shows").onchange = showPerson;
byId("enrol-stop").onclick = forgetAll;
byId("enrol-form").onsubmit = async (event) => {
  event.preventDefault();
  tell(byId("enrol-problem"), "");
  stopCapture();
  byId("enrol-create").disabled = true;
  try {
    await request("POST", "/api/dashboard/enrolment", {
      name: byId("enrol-name").value.trim(),
      consent: byId("consent").checked ? { kind: byId("shows").value, person: byId("person").value.trim() } : null,
      same_person: byId("same-person").checked,
    });
  } catch (error) {
    tell(byId("enrol-problem"), named(error.message));
  } finally {
    showStatus();
  }
};

/** Of a person who has agreed, the name is recorded. */
function showPerson() {
  const agreed = byId("shows").value === "agreed";
  byId("person-box").hidden = !agreed;
  byId("person").required = agreed;
  if (!agreed) byId("person").value = "";
}
