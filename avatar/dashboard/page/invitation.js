// What the owner sends to the others: a link, for whom it works, and what their browser will say of its certificate.

import { NOBODY } from "./call_state.js";
import { ask, byId, setText, tell } from "./dom.js";
import { request } from "./server.js";

const REACH = {
  "this computer": "Nobody elsewhere can come in yet: the call listens to this computer alone.",
  network: "This works for whoever is in the same network as this computer: the same Wi-Fi, or a cable. If their browser finds nothing, a firewall here may be in the way.",
  elsewhere: "Whoever has this link can come in.",
};

let now = {}; // what visavis told last

/** state: of /api/state. */
export function showInvitation(state) {
  now = state;
  byId("invite").hidden = !state.invitation;
  byId("end-call").hidden = !state.own_room || (alone(state) && byId("members").children.length < 2);
  setText(byId("invite-reach"), REACH[state.reach]);
  byId("let-in").hidden = !alone(state);
  byId("listen").hidden = !state.may_listen;
  setText(byId("invitation-label"), alone(state) ? "A link for this computer alone, to try it out" : "Invitation, for the others");
  if (byId("invitation").value !== state.invitation) byId("invitation").value = state.invitation;
  byId("invitation-copies").hidden = alone(state);
  byId("certificate").hidden = !state.fingerprint;
  setText(byId("fingerprint"), state.fingerprint);
  if (document.activeElement !== byId("own-name")) byId("own-name").value = state.name === NOBODY ? "" : state.name;
}

const alone = ({ reach }) => reach === "this computer";

/** The whole of what the others need to know. */
function message() {
  const named = now.name !== NOBODY;
  const host = named ? now.name : "The host";
  const lines = [named ? `${host} invites you to a call:` : "You are invited to a call:", now.invitation, "", "Open it in a browser that is up to date. There is nothing to install, and the call shows you by your camera, if you like."];
  if (now.reach === "network") lines.push("It works in the same network as the host’s computer: the same Wi-Fi, or a cable.");
  if (now.fingerprint) {
    lines.push(
      "",
      "Your browser will warn of the certificate, since the host’s computer has made it itself. Look at the certificate: if its SHA-256 fingerprint is",
      now.fingerprint,
      "(in Chrome and Edge under “Not secure” beside the address, then “Certificate details”; in Firefox under “Advanced”, then “View Certificate”), it is the right one, and you may go on: “Advanced”, then “Proceed” (Chrome, Edge) or “Accept the Risk and Continue” (Firefox); in Safari “Show Details”, then “visit this website”.",
    );
  }
  return [...lines, "", `${host} is shown by an avatar, which is made by AI.`].join("\n");
}

async function copy(button, text) {
  const label = button.textContent;
  const copied = await navigator.clipboard.writeText(text).then(() => true, () => false);
  if (!copied) byId("invitation").select();
  setText(button, copied ? "Copied" : "Press Ctrl+C");
  button.disabled = true;
  setTimeout(() => {
    setText(button, label);
    button.disabled = false;
  }, 2000);
}

byId("copy").onclick = () => copy(byId("copy"), now.invitation);
byId("copy-all").onclick = () => copy(byId("copy-all"), message());
byId("listen").onclick = async () => {
  byId("listen").disabled = true;
  tell(byId("invite-problem"), "");
  try {
    showInvitation(await request("POST", "/api/listen", {}));
    byId("copy-all").focus();
  } catch (error) {
    tell(byId("invite-problem"), error.message);
  }
  byId("listen").disabled = false;
};
byId("end-call").onclick = () => {
  const text = "Everybody is sent out, and the invitation opens nothing any more. The next one is another link.";
  return ask({ title: "End the call for everybody?", text, yes: "End the call", danger: true }, async () => {
    showInvitation(await request("POST", "/api/end", {}));
    byId("call-title").focus();
  });
};
byId("own-name").onchange = async () => {
  const name = byId("own-name").value.trim();
  if (!name) return;
  try {
    tell(byId("invite-problem"), "");
    showInvitation(await request("POST", "/api/state", { name }));
  } catch (error) {
    tell(byId("invite-problem"), error.message);
  }
};
