// In the dialog about a face: fine-tuning, its progress, and before and after side by side.

import { choose, chosenAvatar, onAbout } from "./avatars.js";
import { byId, setText, tell } from "./dom.js";
import { live } from "./run.js";
import { request } from "./server.js";

const PATH = "/api/dashboard/finetuning";
const OFFER = "Fine-tuning makes the network this face’s own, from its portraits. It takes up to 5 minutes, beside the live avatar.";

let now = { state: "none" };
let card = null; // that the dialog is about
let shown = ""; // whose pictures are there

/** News from visavis. */
export function fineTuningArrived(report) {
  now = report;
  show();
}

onAbout((about) => {
  card = about;
  tell(byId("tune-problem"), "");
  show();
});

function show() {
  const mine = card && now.name === card.name && now.state !== "none";
  byId("tune").hidden = !card || !(mine || card.tunable);
  if (byId("tune").hidden) return;
  const state = mine ? now.state : "none";
  const focused = byId("tune").contains(document.activeElement);
  setText(byId("tune-text"), state === "none" ? OFFER : state === "working" ? working() : now.words);
  byId("tune-progress").hidden = state !== "working";
  if (now.share) byId("tune-progress").value = now.share;
  else byId("tune-progress").removeAttribute("value"); // it moves, and says nothing yet
  byId("tune-compare").hidden = byId("tune-keep").hidden = byId("tune-leave").hidden = state !== "choice";
  byId("tune-stop").hidden = state !== "working";
  const again = state === "told" && now.longer_minutes > 0;
  byId("tune-start").hidden = !(state === "none" || again);
  setText(byId("tune-start"), again ? `Learn for ${now.longer_minutes} minutes` : "Fine-tune");
  if (state === "choice") showPictures();
  else shown = "";
  if (focused && !document.activeElement.checkVisibility()) byId("tune-text").focus();
}

function working() {
  if (!now.share) return "Fine-tuning begins. You can close this window: it goes on.";
  const left = Math.max(1, Math.ceil(now.minutes * (1 - now.share)));
  return `Learning this face: ${left} ${left === 1 ? "minute" : "minutes"} more at most. You can close this window: it goes on.`;
}

function showPictures() {
  if (shown === now.name) return;
  shown = now.name;
  for (const which of ["before", "after"]) {
    const picture = byId(`tune-${which}`);
    request("GET", `${PATH}/${which}`).then((blob) => {
      URL.revokeObjectURL(picture.src);
      picture.src = URL.createObjectURL(blob);
    }, complain);
  }
}

const complain = (error) => tell(byId("tune-problem"), error.message);

function act(method, path, body) {
  tell(byId("tune-problem"), "");
  return request(method, path, body).then(() => true, complain);
}

byId("tune-start").onclick = () => {
  const minutes = now.name === card.name && now.longer_minutes;
  return act("POST", PATH, { avatar: card.name, ...(minutes ? { minutes } : {}) });
};
byId("tune-stop").onclick = byId("tune-leave").onclick = () => act("DELETE", PATH);
byId("tune-keep").onclick = async () => {
  const { name } = card;
  if (!(await act("POST", `${PATH}/kept`))) return;
  byId("about-face").close();
  if (live.state !== "off" && chosenAvatar() === name) choose(name); // as it is now
};
