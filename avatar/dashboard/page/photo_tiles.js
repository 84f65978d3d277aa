// What an avatar will be made of: tiles of photos, or of one clip. Each is sent to visavis, which says what it is worth.

import { byId, make, setText } from "./dom.js";
import { Refused, request, upload } from "./server.js";

const VIDEO = /\.(mp4|mov|m4v|mkv|webm|avi|3gp)$/i;
const HEAD = 2.1; // sides of a face that a thumbnail shows
const STRANGER = ["This looks like another person than the other photos.", "bad"];
const EITHER = "An avatar is made of photos or of one clip, not of both.";

let limits = { most_photos: 32, most_bytes: 32 << 20, most_clip_bytes: 512 << 20 };
let tiles = []; // {name, number, clip, pose, element, verdict, gone}: number once visavis has taken it; gone: removed by the person
let accused = []; // numbers
let queue = Promise.resolve(); // one upload at a time
let changed = () => {};

const list = byId("photos");
const isVideo = (file) => file.type.startsWith("video/") || VIDEO.test(file.name ?? "");
const isAccused = (tile) => accused.includes(tile.number);
const isBad = (tile) => tile.element.classList.contains("bad");
const usable = () => tiles.filter((tile) => !isBad(tile));
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

export const setLimits = (now) => (limits = now);
export const onTiles = (act) => (changed = act);
/** Whether anything would be lost. */
export const anyTiles = () => usable().length > 0;
export const anyShots = () => usable().some((tile) => tile.pose);
export const anyClip = () => usable().some((tile) => tile.clip);
/** By which visavis knows the photos; none of a clip. */
export const shownNumbers = () => usable().filter((tile) => !tile.clip).map((tile) => tile.number);
export const ready = () => usable().length > 0 && usable().every((tile) => tile.number !== null);

/** Files that were chosen or dropped. Photos and a clip are never mixed: the person is asked. */
export function addFiles(files) {
  byId("either").hidden = true;
  const [clips, photos] = [[...files].filter(isVideo), [...files].filter((file) => !isVideo(file))];
  const [clip] = clips;
  if (clip && (photos.length || usable().length)) {
    if (photos.length && !anyClip()) addPhotos(photos);
    const why = anyClip() ? "An avatar is made of one clip." : EITHER;
    return offer(`${why} “${clip.name}” was left out.`, "Use that clip instead", () => clearTiles().then(() => addTile(clip, clip.name, { clip: true })));
  }
  if (clip) {
    addTile(clip, clip.name, { clip: true });
    if (clips.length > 1) offer(`An avatar is made of one clip: “${clip.name}” was taken.`);
    return;
  }
  if (photos.length && anyClip()) {
    return offer(`${EITHER} The photos were left out.`, "Use the photos instead", () => clearTiles().then(() => addPhotos(photos)));
  }
  addPhotos(photos);
}

/** A shot of the webcam. */
export const addShot = (shot, name, pose) => addTile(shot, name, { pose });

/** Before the webcam is used: true where nothing stands against it, else the person is asked, and `act` comes later. */
export function offerWithoutClip(act) {
  if (!anyClip()) return true;
  offer(`${EITHER} There is a clip.`, "Use the webcam instead", () => clearTiles().then(act));
  return false;
}

/** Take all tiles away. kept: visavis has what they show, and deletes it. */
export async function clearTiles(kept = true) {
  byId("either").hidden = true;
  const old = tiles;
  accused = [];
  for (const tile of old) tile.gone = true; // what is on its way is deleted once it has come
  tiles = [];
  list.replaceChildren();
  showStatus();
  if (kept) await Promise.all(old.filter((tile) => tile.number !== null).map(forget));
}

/** After what was sent before, so that nothing of it comes later. */
export function afterUploads(act) {
  queue = queue.then(act);
  return queue;
}

/** The photos of these numbers look like another person, and no others do. */
export function accuse(numbers) {
  if (numbers.join() === accused.join()) return;
  accused = numbers;
  for (const tile of tiles) if (tile.number !== null) showVerdict(tile);
  list.querySelector(".accused")?.scrollIntoView({ block: "nearest" });
}

/** What the person calls the photos of these numbers. */
export const namesOf = (numbers) => usable().filter((tile) => numbers.includes(tile.number)).map((tile) => tile.name);

/** visavis knows photos by number alone; the person by the names of the files. */
export const named = (text) => text.replace(/photo-(\d+)/g, (all, number) => tiles.find((tile) => tile.number === Number(number))?.name ?? all);

function offer(text, yes, act) {
  setText(byId("either-text"), text);
  const button = byId("either-act");
  button.hidden = !act;
  setText(button, yes ?? "");
  button.onclick = act;
  byId("either").hidden = false;
  byId("either").scrollIntoView({ block: "nearest" });
}

function addPhotos(photos) {
  const taken = photos.slice(0, Math.max(0, limits.most_photos - usable().length));
  if (taken.length < photos.length) offer(`Up to ${limits.most_photos} photos: the last ${photos.length - taken.length} were left out.`);
  for (const photo of taken) addTile(photo, photo.name);
}

function addTile(file, name, { clip = false, pose = "" } = {}) {
  const thumb = make("div", { className: "thumb" }, clip ? filmStill(file) : photo(file));
  const sent = make("progress", { max: 1, value: 0, "aria-label": `Sending ${name}` });
  const verdict = make("p", { className: "verdict" }, "Waiting");
  const remove = make("button", { type: "button", className: "quiet", title: `Remove ${name}`, "aria-label": `Remove ${name}` }, "✕");
  const element = make("li", { className: clip ? "photo clip" : "photo" }, thumb, sent, verdict, make("p", { className: "name", title: name }, name), remove);
  const tile = { name, number: null, clip, pose, element, verdict: ["Waiting", ""], gone: false };
  remove.onclick = () => removeTile(tile);
  tiles.push(tile);
  list.append(element);
  showStatus();
  const judge = (text, mark) => {
    tile.verdict = [text, mark];
    showVerdict(tile);
    sent.remove();
    element.classList.toggle("bad", mark === "bad");
    showStatus();
    if (mark === "bad") element.scrollIntoView({ block: "nearest" });
  };
  const most = clip ? limits.most_clip_bytes : limits.most_bytes;
  if (file.size > most) {
    const smaller = clip ? "Cut 10 to 20 seconds out of it." : "Save a smaller copy: 4096 pixels wide is plenty.";
    return judge(`Larger than ${most >> 20} MB. ${smaller}`, "bad");
  }
  if (file.size === 0) return judge("The file is empty. Copy it again.", "bad");
  const path = clip ? "/api/dashboard/clip" : `/api/dashboard/photos${pose && `?pose=${pose}`}`;
  queue = queue.then(async () => {
    if (tile.gone) return;
    setText(verdict, "Sending");
    try {
      const sending = (share) => {
        sent.value = share;
        if (share === 1) setText(verdict, "Checking");
      };
      const found = await patiently(() => upload(path, file, sending));
      tile.number = clip ? 0 : found.number;
      if (tile.gone) return await forget(tile);
      if (found.face && !found.reason) showHead(thumb.firstElementChild, found.face);
      judge(...worth(found, clip));
    } catch (error) {
      if (!tile.gone) judge(error.message, "bad");
    }
  });
}

function showVerdict(tile) {
  const verdict = tile.element.querySelector(".verdict");
  const [text, mark] = isAccused(tile) ? STRANGER : tile.verdict;
  tile.element.classList.toggle("accused", isAccused(tile));
  setText(verdict, text);
  verdict.className = `verdict ${mark}`;
}

function worth({ reason, warnings = [], note = "", seconds }, clip) {
  if (reason) return [sentence(reason), "bad"];
  if (clip) return [[seconds ? `${Math.round(seconds)} seconds.` : "Good.", note].join(" ").trim(), note ? "warn" : "good"];
  return warnings.length ? [sentence(warnings.join("; ")), "warn"] : ["Good", "good"];
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

async function removeTile(tile) {
  tile.gone = true; // if it is on its way, it is deleted once its number is known
  const after = tile.element.nextElementSibling ?? tile.element.previousElementSibling;
  tile.element.remove();
  tiles = tiles.filter((other) => other !== tile);
  (after?.querySelector("button") ?? byId("files")).focus();
  showStatus();
  if (tile.number !== null) await forget(tile);
}

const forget = ({ clip, number }) => request("DELETE", `/api/dashboard/${clip ? "clip" : `photos/${number}`}`).catch(() => {});

function photo(file) {
  const picture = make("img", { alt: "", src: URL.createObjectURL(file) });
  picture.onload = () => URL.revokeObjectURL(picture.src);
  picture.onerror = () => {
    URL.revokeObjectURL(picture.src);
    picture.parentElement.classList.add("blind"); // a format that only visavis reads, or no picture at all
  };
  return picture;
}

function filmStill(file) {
  const film = make("video", { muted: true, preload: "auto", src: URL.createObjectURL(file) });
  film.onloadedmetadata = () => (film.currentTime = Math.min(0.5, film.duration / 2 || 0));
  film.onseeked = () => URL.revokeObjectURL(film.src);
  film.onerror = () => {
    URL.revokeObjectURL(film.src);
    film.parentElement?.classList.add("blind");
  };
  return film;
}

/** The whole head, not the middle of the picture. */
function showHead(picture, [left, top, width, height]) {
  const { naturalWidth: w, naturalHeight: h } = picture;
  if (!w) return;
  const side = Math.min(HEAD * Math.max(width * w, height * h), w, h);
  const within = (centre, size) => Math.min(Math.max(centre - side / 2, 0), size - side);
  const [x, y] = [within((left + width / 2) * w, w), within((top + 0.4 * height) * h, h)];
  picture.classList.add("head");
  Object.assign(picture.style, { width: `${(100 * w) / side}%`, left: `${(-100 * x) / side}%`, top: `${(-100 * y) / side}%` });
}

function showStatus() {
  const good = usable().filter((tile) => tile.number !== null).length;
  const pending = usable().length - good;
  const bad = tiles.length - usable().length;
  const words = [];
  if (pending) words.push(`${pending} being checked`);
  if (good) words.push(`${good} can be used`);
  if (bad) words.push(`${bad} cannot`);
  setText(byId("photos-status"), words.length && !anyClip() ? `Photos: ${words.join(", ")}.` : "");
  changed();
}
