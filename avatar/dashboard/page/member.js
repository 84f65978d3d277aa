// One of those whom this person sees and hears: their tile, and the connection that their picture and sound come by.

import { gathered, showTrack } from "./connection.js";
import { byId, make, setText } from "./dom.js";
import { WORDS } from "./label.js";

const MEND_MS = 2500; // after a link was lost
const TROUBLE = { new: "connecting", connecting: "connecting", disconnected: "connection weak", failed: "reconnecting" };

export class Member {
  #room;
  #changed;
  #told; // {id, name, kind, muted, camera_on, showing}
  #tile;
  #link = ""; // names the newest connection
  #pc = null; // until `close`
  #trouble = "";
  #mending = 0;

  /** changed(): this member, or the way to them, is not as it was. */
  constructor(told, room, changed) {
    this.#room = room;
    this.#told = told;
    this.#changed = changed;
    this.#tile = new Tile(told.kind);
    byId("members").append(this.#tile.element);
    this.connect();
  }

  /** {name, kind, muted, camera_on, showing, connected} */
  get now() {
    return { ...this.#told, connected: this.#pc?.connectionState === "connected" };
  }

  /** Ask for picture and sound, anew. */
  async connect() {
    this.#pc?.close();
    const pc = (this.#pc = this.#room.newConnection());
    this.#link = crypto.randomUUID?.() ?? String(Math.random());
    showTrack(pc, this.#tile.video);
    pc.onconnectionstatechange = () => {
      if (this.#pc !== pc) return;
      this.#say(TROUBLE[pc.connectionState] ?? "");
      if (pc.connectionState === "failed" || pc.connectionState === "disconnected") this.#mend();
    };
    pc.addTransceiver("video", { direction: "recvonly" });
    pc.addTransceiver("audio", { direction: "recvonly" });
    this.#say("connecting");
    await pc.setLocalDescription(await pc.createOffer());
    await gathered(pc);
    if (this.#pc === pc) this.#room.say({ type: "offer", to: this.#told.id, link: this.#link, sdp: pc.localDescription.sdp });
  }

  close() {
    this.#pc.close();
    this.#pc = null;
    this.#tile.element.remove();
  }

  takeState({ name = this.#told.name, muted, camera_on, showing = this.#told.showing }) {
    Object.assign(this.#told, { name, muted, camera_on, showing });
    this.#say(this.#trouble);
  }

  takeAnswer({ link, sdp }) {
    if (link === this.#link) this.#pc.setRemoteDescription({ type: "answer", sdp }).catch(() => this.#mend());
  }

  takeRefusal({ link, reason }) {
    if (link !== this.#link) return;
    this.#say(reason);
    this.#mend();
  }

  takeCandidate({ link, candidate }) {
    if (link === this.#link) this.#pc.addIceCandidate({ candidate, sdpMLineIndex: 0 }).catch(() => {});
  }

  /** Connect anew, unless it mended itself meanwhile. */
  #mend() {
    if (this.#mending) return;
    this.#mending = setTimeout(() => {
      this.#mending = 0;
      if (!this.#pc || this.#pc.connectionState === "connected") return;
      this.#room.say({ type: "bye", to: this.#told.id, link: this.#link });
      this.connect();
    }, MEND_MS);
  }

  #say(trouble) {
    this.#trouble = trouble;
    this.#tile.show(this.#told, trouble);
    this.#changed();
  }
}

/** A picture with its words: who it is, whether AI makes it, and why there is none where there is none. */
export class Tile {
  video = make("video", { autoplay: true, playsInline: true });
  #blank = make("div", { className: "blank", hidden: true, "aria-hidden": "true" }, make("span")); // the caption says it too
  #badge = make("span", { className: "badge" });
  #caption = make("p");
  #kind;

  /** kind: "avatar", "browser", or "mine" for one's own. */
  constructor(kind) {
    this.#kind = kind;
    this.#badge.hidden = kind !== "avatar";
    this.element = make("li", { className: `member ${kind}` }, this.video, this.#blank, this.#badge, this.#caption);
  }

  show({ name, muted, camera_on: cameraOn, showing }, trouble = "") {
    const title = this.#kind === "avatar" ? `${name} (avatar, ${WORDS})` : this.#kind === "mine" ? `${name} (you)` : name;
    const words = [title];
    if (muted) words.push("muted");
    if (!cameraOn) words.push("picture hidden");
    if (trouble) words.push(trouble);
    setText(this.#caption, words.join(" · "));
    this.video.setAttribute("aria-label", this.#kind === "mine" ? "Your own picture, mirrored" : `Picture of ${title}`);
    setText(this.#badge, showing === "idle" ? "AI avatar, at rest" : "AI avatar");
    this.#blank.hidden = cameraOn && showing !== "nothing";
    const noAvatar = this.#kind === "avatar" && showing === "nothing";
    setText(this.#blank.firstChild, noAvatar ? "No avatar is shown yet" : initial(name));
    this.#blank.classList.toggle("letter", !noAvatar);
  }
}

function initial(name) {
  return [...name][0]?.toUpperCase() ?? "?";
}
