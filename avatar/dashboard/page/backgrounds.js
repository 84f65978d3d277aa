// What is behind the avatar, as small pictures: one click changes it.

import { chosenCard, pictureOf } from "./avatars.js";
import { choices, loadChoices, watchChoices } from "./choices.js";
import { byId, icon, make, tell } from "./dom.js";
import { change, value, watch } from "./run.js";
import { upload } from "./server.js";
import { tile } from "./tile.js";

const COLOURS = { "#e9e4da": "Sand", "#b8cbd6": "Mist", "#3f6f5d": "Forest", "#24405c": "Night", "#1b1b1d": "Black" };
const FIRST_OWN = "#7a5ea8"; // until another is picked
const PICTURE = "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01";

const box = byId("backgrounds");
const photos = ["photo", "photo blurred"].map((className) => make("img", { alt: "", className, draggable: false }));
const own = make("input", { type: "color", value: FIRST_OWN, className: "swatch", "aria-label": "Another colour" });
const ownTile = make("label", { className: "tile" }, own, make("span", { className: "name" }, "Colour"));
const sent = make("span", { className: "swatch" }, icon(PICTURE));
const sentTile = choice("picture", "Picture", sent);
const choose = make("button", { type: "button", className: "tile" }, make("span", { className: "swatch plus", "aria-hidden": "true" }, "+"), make("span", { className: "name" }, "Your picture"));

function choice(background, name, picture) {
  return tile({ group: "background", value: background, name, picture }, (chosen) => change({ background: chosen }));
}

function swatch(colour) {
  const element = make("span", { className: "swatch" });
  element.style.background = colour;
  return element;
}

function show() {
  const now = value("background");
  for (const radio of box.querySelectorAll("input[type=radio]")) radio.checked = radio.value === now;
  const picked = Boolean(now?.startsWith("#")) && !(now in COLOURS);
  ownTile.classList.toggle("chosen", picked);
  if (picked && document.activeElement !== own) own.value = now;
  sentTile.hidden = !choices.picture;
  const card = chosenCard();
  if (!card) return;
  pictureOf(card).then((address) => {
    for (const photo of photos) if (photo.src !== address) photo.src = address;
  }, () => {});
}

async function send(file) {
  const note = byId("picture-note");
  try {
    await upload("/api/dashboard/background", file, (share) => tell(note, share < 1 ? `Sending: ${Math.round(share * 100)} %` : "Looking at it"));
  } catch (error) {
    return tell(note, error.message);
  }
  tell(note, "");
  const small = make("img", { alt: "", draggable: false, src: URL.createObjectURL(file) });
  small.onload = () => sent.replaceChildren(small); // else a format that only visavis reads
  await loadChoices();
  await change({ background: "picture" });
  sentTile.querySelector("input").focus();
}

own.oninput = () => change({ background: own.value });
choose.onclick = () => byId("picture-file").click();
byId("picture-file").onchange = ({ target }) => {
  const [file] = target.files;
  target.value = "";
  if (file) send(file);
};
box.append(
  choice("portrait", "Photo", photos[0]),
  choice("blur", "Blurred", photos[1]),
  ...Object.entries(COLOURS).map(([colour, name]) => choice(colour, name, swatch(colour))),
  ownTile, sentTile, choose,
); // prettier-ignore
watch(show);
watchChoices(show);
