// A call without a room: two texts, which the two people send each other by whatever messenger they have.

import { gathered, showTrack } from "./connection.js";
import { byId, make, setText, tell } from "./dom.js";
import { WORDS } from "./label.js";
import { request } from "./server.js";

const OFFER = "visavis-offer:";
const ANSWER = "visavis-answer:";
const LONGEST = 64 << 10; // of a text
const LONGEST_UNPACKED = 512 << 10;

class PastedCall {
  #newConnection;
  #waiting = null; // of the one who began: {id, pc}

  constructor(newConnection) {
    this.#newConnection = newConnection;
  }

  /** The first text: an offer to send the avatar, and one to receive the other's. */
  async begin() {
    const { id, sdp } = await request("POST", "/api/view", {});
    const pc = this.#receiver();
    pc.addTransceiver("video", { direction: "recvonly" });
    pc.addTransceiver("audio", { direction: "recvonly" });
    await pc.setLocalDescription(await pc.createOffer());
    await gathered(pc);
    if (this.#waiting) {
      this.#waiting.pc.close();
      request("DELETE", `/api/peers/${this.#waiting.id}`).catch(() => {});
    }
    this.#waiting = { id, pc };
    return OFFER + (await pack([sdp, pc.localDescription.sdp]));
  }

  /** The text that answers the other's first one. */
  async #answer([sends, receives]) {
    const pc = this.#receiver();
    await pc.setRemoteDescription({ type: "offer", sdp: sends });
    await pc.setLocalDescription(await pc.createAnswer());
    await gathered(pc);
    const { sdp } = await request("POST", "/api/view", { sdp: receives, by_hand: true });
    return ANSWER + (await pack([pc.localDescription.sdp, sdp]));
  }

  /** The one who began has got the answer. */
  async #finish([received, sent]) {
    if (!this.#waiting) throw new Error("This answers a call that this page did not begin, or has ended. Begin anew.");
    const { id, pc } = this.#waiting;
    await request("POST", `/api/view/${id}`, { sdp: received });
    await pc.setRemoteDescription({ type: "answer", sdp: sent });
    this.#waiting = null;
  }

  #receiver() {
    const pc = this.#newConnection();
    const video = make("video", { autoplay: true, playsInline: true, "aria-label": `Picture of the other (avatar, ${WORDS})` });
    const caption = make("p", {}, "Waiting for the other");
    const close = make("button", { type: "button" }, "Hang up");
    const tile = make("li", { className: "member avatar" }, video, caption, close);
    close.onclick = () => {
      pc.close();
      tile.remove();
      byId("paste-begin").focus();
    };
    showTrack(pc, video);
    pc.onconnectionstatechange = () => {
      if (pc.connectionState === "connected") setText(caption, `By copy and paste (avatar, ${WORDS})`);
      if (pc.connectionState === "disconnected") setText(caption, "Connection weak");
      if (pc.connectionState === "failed") setText(caption, "Lost: begin anew");
    };
    byId("pasted").append(tile);
    return pc;
  }

  async use(text) {
    const kind = [OFFER, ANSWER].find((start) => text.startsWith(start));
    let descriptions;
    try {
      if (!kind || text.length > LONGEST) throw new Error("other");
      descriptions = await unpack(text.slice(kind.length));
    } catch {
      throw new Error("That is not the whole text. Copy all of it, from “visavis-” to its end.");
    }
    if (kind === ANSWER) {
      await this.#finish(descriptions);
      return give("", "Connecting.");
    }
    give(await this.#answer(descriptions), "Send this back to the other. The call begins when they use it.");
  }
}

async function pack(value) {
  const packed = new Blob([JSON.stringify(value)]).stream().pipeThrough(new CompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(packed).arrayBuffer());
  return btoa(String.fromCharCode(...bytes));
}

/** Two texts. Throws where that is not what was packed. */
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const parts = [];
  let length = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    length += next.value.length;
    if (length > LONGEST_UNPACKED) throw new Error("too long");
    parts.push(next.value);
  }
  const found = JSON.parse(await new Blob(parts).text());
  if (!Array.isArray(found) || found.length !== 2 || found.some((sdp) => typeof sdp !== "string")) throw new Error("not two");
  return found;
}

function give(text, note) {
  byId("paste-out-box").hidden = !text;
  byId("paste-out").value = text;
  setText(byId("paste-note"), note);
  if (text) byId("paste-out").select();
}

async function attempt(act) {
  tell(byId("paste-problem"), "");
  for (const id of ["paste-begin", "paste-use"]) byId(id).disabled = true;
  try {
    await act();
  } catch (error) {
    tell(byId("paste-problem"), error.message);
  } finally {
    for (const id of ["paste-begin", "paste-use"]) byId(id).disabled = false;
  }
}

/** newConnection: makes one by the servers of the room. */
export function preparePaste(newConnection) {
  const call = new PastedCall(newConnection);
  byId("paste-begin").onclick = () => attempt(async () => give(await call.begin(), "Send this to the other, by whatever messenger. Then paste what comes back."));
  byId("paste-form").onsubmit = (event) => {
    event.preventDefault();
    attempt(async () => {
      await call.use(byId("paste-in").value.trim());
      byId("paste-in").value = "";
    });
  };
  byId("paste-copy").onclick = async () => {
    byId("paste-out").select();
    const copied = await navigator.clipboard.writeText(byId("paste-out").value).then(() => true, () => false);
    setText(byId("paste-copy"), copied ? "Copied" : "Press Ctrl+C");
    setTimeout(() => setText(byId("paste-copy"), "Copy"), 2000);
  };
}
