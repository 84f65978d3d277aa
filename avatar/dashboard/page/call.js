// The owner's side of the call: visavis answers for the avatar; this page sees the others, and lends its microphone and
// camera. A guest's side: guest.js. Messages: avatar/call/server.py.

import { byId, make, setText, tell } from "./dom.js";
import { showInvitation } from "./invitation.js";
import { LentDevice } from "./lent_device.js";
import { OwnState } from "./own_state.js";
import { preparePaste } from "./paste.js";
import { People } from "./people.js";
import { request } from "./server.js";

export { joinAsGuest } from "./guest.js";

const POLL_MS = 3000;

export function joinAsOwner() {
  for (const id of ["in-call", "microphone", "paste"]) byId(id).hidden = false;
  const people = new People({ name: "", kind: "browser" });
  const own = new OwnState(
    async (wanted) => {
      const now = await request("POST", "/api/state", { muted: wanted.muted, camera_on: wanted.camera_on });
      tell(byId("call-problem"), "");
      return now;
    },
    () => people.show(),
  );
  people.enter(own);
  preparePaste(() => people.room.newConnection());
  lendMicrophone();
  poll(own);
}

async function poll(own) {
  try {
    const now = await request("GET", "/api/state");
    own.take(now);
    showInvitation(now);
    byId("unheard").hidden = now.microphone || now.muted;
    byId("connections-details").hidden = now.peers.length === 0;
    byId("connections").replaceChildren(...now.peers.map((peer) => make("li", {}, make("span", {}, peer.kind), make("span", {}, peer.state))));
  } catch {
    // the areas above say that visavis is away
  }
  setTimeout(() => poll(own), POLL_MS);
}

function lendMicrophone() {
  const button = byId("microphone");
  const microphone = new LentDevice({
    name: "microphone",
    constraints: { audio: true },
    gone: "The microphone has gone. Plug it in, then turn it on again.",
    say: (text) => tell(byId("call-problem"), text),
    changed: () => {
      button.setAttribute("aria-pressed", String(microphone.on));
      setText(button, microphone.on ? "Stop my microphone" : "Use my microphone");
    },
  });
  button.onclick = async () => {
    button.disabled = true;
    if (microphone.on) await microphone.stop();
    else await microphone.start();
    button.disabled = false;
  };
}

byId("hear").onclick = () => {
  byId("hear").hidden = true;
  for (const video of document.querySelectorAll(".member:not(.mine) video")) video.play().catch(() => {});
};
