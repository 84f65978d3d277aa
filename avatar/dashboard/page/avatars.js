// The list of avatars: choose, rename, delete.

import { ask, byId, icon, make, tell } from "./dom.js";
import { request } from "./server.js";

const PENCIL = "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3";
const BIN = "M4 7h16M10 4h4M6 7l1 13h10l1-13M10 11v5M14 11v5";

const pictures = new Map(); // by name: {madeAt, address of the thumbnail}
let chosen = localStorage.getItem("avatar") ?? "";
let whenChosen = () => {};
let shown = "";

export const chosenAvatar = () => chosen;
export function onChoice(act) {
  whenChosen = act;
}

/** Choose as if the person had. */
export function choose(name) {
  chosen = name;
  localStorage.setItem("avatar", name);
  const radio = [...document.querySelectorAll("#avatar-list input")].find((input) => input.value === name);
  if (radio) radio.checked = true;
}

export function showAvatars(avatars, live) {
  const onStage = live.state === "off" ? null : live.wish.avatar;
  if (onStage) chosen = onStage;
  const usable = avatars.filter((avatar) => !avatar.problem);
  if (!usable.some((avatar) => avatar.name === chosen)) chosen = usable[0]?.name ?? "";
  byId("no-avatars").hidden = avatars.length > 0;
  const now = JSON.stringify([avatars, onStage]);
  if (now === shown) return choose(chosen); // the focus stays where it is
  shown = now;
  const focused = document.activeElement?.closest("#avatar-list") && document.activeElement.id;
  byId("avatar-list").replaceChildren(...avatars.map((avatar) => card(avatar, avatar.name === onStage)));
  if (focused) byId(focused)?.focus();
}

function card(avatar, live) {
  const { name, problem } = avatar;
  const portraits = `${avatar.portraits} ${avatar.portraits === 1 ? "portrait" : "portraits"}`;
  const lines = problem
    ? [problem]
    : [avatar.fine_tuned ? `${portraits}, fine-tuned` : portraits, avatar.shows];
  const about = lines.map((line) => make("span", { className: problem ? "about bad" : "about" }, line));
  const text = make("span", { title: avatar.consent }, make("strong", {}, name), ...about);
  const buttons = [
    ...(problem ? [] : [action(`rename-${name}`, `Rename ${name}`, PENCIL, () => renameAvatar(name))]),
    action(`delete-${name}`, `Delete ${name}`, BIN, () => deleteAvatar(name)),
  ];
  if (live) for (const button of buttons) Object.assign(button, { disabled: true, title: "Stop first: it is live" });
  const picture = problem ? make("span", { className: "no-picture" }) : make("img", { alt: "", width: 56, height: 56 });
  if (!problem) thumbnail(avatar).then((address) => (picture.src = address), () => {});
  const label = make("label", { className: problem ? "broken" : "" }, picture, text);
  if (!problem) {
    const radio = make("input", { type: "radio", name: "avatar", value: name, id: `avatar-${name}`, checked: name === chosen });
    radio.onchange = () => {
      choose(name);
      whenChosen(name);
    };
    label.prepend(radio);
  }
  return make("li", { className: "card" }, label, make("div", { className: "actions" }, ...buttons));
}

function action(id, label, path, act) {
  const button = make("button", { type: "button", id, title: label, "aria-label": label }, icon(path));
  button.onclick = act;
  return button;
}

async function thumbnail({ name, made_at: madeAt }) {
  const kept = pictures.get(name);
  if (kept?.madeAt === madeAt) return kept.address;
  const address = URL.createObjectURL(await request("GET", `/api/dashboard/avatars/${encodeURIComponent(name)}/thumbnail`));
  if (kept) URL.revokeObjectURL(kept.address);
  pictures.set(name, { madeAt, address });
  return address;
}

async function renameAvatar(name) {
  let renamed = name;
  const done = await ask({ title: `Rename ${name}`, yes: "Rename", input: name }, async (text) => {
    if (text !== name) await request("PATCH", `/api/dashboard/avatars/${encodeURIComponent(name)}`, { name: text });
    renamed = text;
  });
  if (done && chosen === name) choose(renamed);
  focusCard(renamed);
}

async function deleteAvatar(name) {
  const text = "Its file is deleted from this computer; recordings of it, and copies that you gave away, are not. It cannot be brought back, only made again from photos.";
  const done = await ask({ title: `Delete ${name}?`, text, yes: "Delete", danger: true }, () =>
    request("DELETE", `/api/dashboard/avatars/${encodeURIComponent(name)}`),
  );
  if (done) byId("avatars-title").focus();
  else focusCard(name);
  tell(byId("avatars-problem"), "");
}

const focusCard = (name) => byId(`rename-${name}`)?.focus();
