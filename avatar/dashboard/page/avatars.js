// The row of faces: one click shows another. Of one's own: rename and delete.

import { ask, byId, make, setText } from "./dom.js";
import { label } from "./label.js";
import { change, live, start, value, watch } from "./run.js";
import { request } from "./server.js";

const PATIENCE_MS = 10_000;
const BUSY = 409; // what visavis answers
const FIRST = "mona_lisa"; // of a first visit

const pictures = new Map(); // by name: {madeAt, address of the picture}
let cards = [];
let chosen = localStorage.getItem("avatar") ?? "";
let shown = "";
let opened = null; // the card that the dialog is about
const dialog = byId("about-face");
let about = () => {};

/** `act` gets the card that the dialog was opened about. */
export const onAbout = (act) => (about = act);

/** The face on the stage, or that of the next start; "" where there is none. */
export const chosenAvatar = () => chosen;
export const chosenCard = () => cards.find((card) => card.name === chosen);
const titled = (card) => card.title || card.name;
/** What people read on it. */
export const chosenTitle = () => (chosenCard() ? titled(chosenCard()) : chosen);

/** Show this face, as if the person had clicked on it. */
export function choose(name) {
  chosen = name;
  localStorage.setItem("avatar", name);
  check();
  return live.state === "off" ? start(name, label()) : change({ avatar: name });
}

export function avatarsArrived(avatars) {
  cards = [...avatars.filter((card) => !card.ready), ...avatars.filter((card) => card.ready)];
  show();
}

/** Address of a face's picture, as soon as it is here; "" of one that cannot be read. */
export async function pictureOf({ name, made_at: madeAt, problem }) {
  if (problem) return "";
  const kept = pictures.get(name);
  if (kept?.madeAt === madeAt) return kept.address;
  const address = URL.createObjectURL(await request("GET", `/api/dashboard/avatars/${encodeURIComponent(name)}/thumbnail`));
  if (kept) URL.revokeObjectURL(kept.address);
  pictures.set(name, { madeAt, address });
  return address;
}

function show() {
  const usable = cards.filter((card) => !card.problem);
  if (live.state !== "off" && value("avatar")) chosen = value("avatar");
  else if (!usable.some((card) => card.name === chosen)) chosen = (usable.find((card) => !card.ready || card.name === FIRST) ?? usable[0])?.name ?? "";
  const now = JSON.stringify(cards);
  if (now !== shown) {
    shown = now;
    const focused = document.activeElement?.closest("#avatar-list") && document.activeElement.id;
    byId("avatar-list").replaceChildren(...cards.map(face));
    if (focused) byId(focused)?.focus(); // it stays where it is
  }
  check();
}

function check() {
  for (const radio of document.querySelectorAll("#avatar-list input")) {
    if (radio.value === chosen && !radio.checked) reveal(radio.closest("li"));
    radio.checked = radio.value === chosen;
  }
}

/** In its row, whose end the last tile covers. The page itself stays where it is. */
function reveal(item) {
  const row = byId("faces");
  const hidden = item.offsetLeft + 2 * item.offsetWidth - row.scrollLeft - row.clientWidth;
  if (hidden > 0) row.scrollLeft += hidden;
  else if (item.offsetLeft < row.scrollLeft) row.scrollLeft = item.offsetLeft;
}

function face(card) {
  const { name, problem } = card;
  const picture = make("img", { alt: "", width: 72, height: 72, draggable: false });
  pictureOf(card).then((address) => address && (picture.src = address), () => {});
  const label = make("label", { title: problem ?? titled(card) }, picture, make("span", { className: "name" }, titled(card)));
  if (!problem) {
    const radio = make("input", { type: "radio", name: "avatar", value: name, id: `avatar-${name}`, className: "visually-hidden" });
    radio.onchange = () => choose(name);
    label.prepend(radio);
  }
  const item = make("li", { className: problem ? "face broken" : "face" }, label);
  if (!card.ready) {
    const more = make("button", { type: "button", className: "more", id: `about-${name}`, "aria-label": `About ${name}`, "aria-haspopup": "dialog" }, make("span", { "aria-hidden": "true" }, "⋯"));
    more.onclick = () => openAbout(card);
    item.append(more);
  }
  return item;
}

// About one of one's own

function openAbout(card) {
  opened = card;
  setText(byId("about-face-title"), card.name);
  byId("about-face-picture").hidden = Boolean(card.problem);
  pictureOf(card).then((address) => (byId("about-face-picture").src = address), () => {});
  const portraits = `${card.portraits} ${card.portraits === 1 ? "portrait" : "portraits"}`;
  const lines = card.problem ? [card.problem] : [card.fine_tuned ? `${portraits}, fine-tuned` : portraits, `Shows ${card.shows}`];
  byId("about-face-text").replaceChildren(...lines.map((line) => make("li", { title: card.consent }, line)));
  byId("rename-face").hidden = Boolean(card.problem);
  about(card);
  dialog.showModal();
}

byId("about-face-close").onclick = () => dialog.close();
byId("rename-face").onclick = () => act(renameFace);
byId("delete-face").onclick = () => act(deleteFace);

async function act(what) {
  const { name } = opened;
  dialog.close();
  await what(name, `/api/dashboard/avatars/${encodeURIComponent(name)}`);
  (byId(`about-${opened.name}`) ?? byId("new-avatar")).focus();
}

async function renameFace(name, path) {
  const wasChosen = chosen === name;
  await ask({ title: `Rename ${name}`, yes: "Rename", input: name }, async (text) => {
    if (text === name) return;
    const before = new Set(cards.map((card) => card.name));
    await offStage(name, () => request("PATCH", path, { name: text }));
    const renamed = await until(() => cards.find((card) => !before.has(card.name)));
    opened = renamed ?? opened;
    if (wasChosen) choose(opened.name);
  });
}

async function deleteFace(name, path) {
  const text = "Its file is deleted from this computer; recordings of it, and copies that you gave away, are not. It cannot be brought back, only made again from photos.";
  await ask({ title: `Delete ${name}?`, text, yes: "Delete", danger: true }, () => offStage(name, () => request("DELETE", path)));
}

/** What visavis does not do to a face that is on the stage: then another takes its place first. */
async function offStage(name, act) {
  try {
    return await act();
  } catch (error) {
    const other = cards.find((card) => card.name !== name && !card.problem);
    if (error.status !== BUSY || !other) throw error;
    await choose(other.name);
    await until(() => live.wish?.avatar !== name);
    await act();
  }
}

/** What `find` finds, as soon as visavis has told it. */
async function until(find) {
  const end = Date.now() + PATIENCE_MS;
  while (!find() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
  return find();
}

watch(show);
