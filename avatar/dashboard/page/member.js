// One of those whom this person sees and hears: their tile, and the connection that their picture and sound come by.

import { gathered, showTrack } from "./connection.js";
import { byId, make, setText } from "./dom.js";
import { WORDS } from "./label.js";

const MEND_MS = 2500; // after a link was lost
const TROUBLE = { new: "connecting", connecting: "connecting", disconnected: "connection weak", failed: "reconnecting" };

export class Member {
  #room;
  #told; // {id, name, kind, muted, camera_on}
  #video;
  #element;
  #link = ""; // names the newest connection
  #pc = null; // until `close`
  #trouble = "";
  #mending = 0;

  constructor(told, room) {
    this.#room = room;
    this.#told = told;
    this.#video = make("video", { autoplay: true, playsInline: true, "aria-label": `Picture of ${titled(told)}` });
    this.#element = make("li", { className: told.kind === "avatar" ? "member avatar" : "member" }, this.#video, make("p"));
    byId("members").append(this.#element);
    this.connect();
  }

  /** Ask for picture and sound, anew. */
  async connect() {
    this.#pc?.close();
    const pc = (this.#pc = this.#room.newConnection());
    this.#link = crypto.randomUUID?.() ?? String(Math.random());
    showTrack(pc, this.#video);
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
    this.#element.remove();
  }

  takeState({ muted, camera_on }) {
    Object.assign(this.#told, { muted, camera_on });
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
    const { name, kind, muted, camera_on: cameraOn } = this.#told;
    const words = [titled({ name, kind })];
    if (muted) words.push("muted");
    if (cameraOn === false) words.push("picture hidden");
    if (trouble) words.push(trouble);
    setText(this.#element.lastElementChild, words.join(" · "));
  }
}

/** For eyes and for screen readers: whose picture it is, and whether AI makes it. */
function titled({ name, kind }) {
  return kind === "avatar" ? `${name} (avatar, ${WORDS})` : name;
}
