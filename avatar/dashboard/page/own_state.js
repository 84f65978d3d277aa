// What this person lets the others have: sound and picture, each by a button.

import { byId, setText, tell } from "./dom.js";

export class OwnState {
  #send;
  #muted = false;
  #cameraOn = true;
  #media = null;
  #name = "";

  /** send(state): tells the others, and resolves to what it is from then on. */
  constructor(send) {
    this.#send = send;
    byId("mute").onclick = () => this.#change({ muted: !this.#muted });
    byId("camera-off").onclick = () => this.#change({ camera_on: !this.#cameraOn });
  }

  get told() {
    return { muted: this.#muted, camera_on: this.#cameraOn };
  }

  /** Of a guest: what their own camera and microphone give, and whose they are. */
  own(media, name) {
    this.#media = media;
    this.#name = name;
  }

  take({ muted, camera_on: cameraOn }) {
    this.#muted = muted;
    this.#cameraOn = cameraOn;
    byId("mute").setAttribute("aria-pressed", String(muted));
    byId("camera-off").setAttribute("aria-pressed", String(!cameraOn));
    if (!this.#media) return;
    setText(byId("own-caption"), this.#caption());
    for (const track of this.#media.getAudioTracks()) track.enabled = !muted;
    for (const track of this.#media.getVideoTracks()) track.enabled = cameraOn;
  }

  async #change(wanted) {
    try {
      this.take(await this.#send({ ...this.told, ...wanted }));
    } catch (error) {
      tell(byId("call-problem"), error.message);
    }
  }

  #caption() {
    const words = [`${this.#name} (you)`];
    if (this.#muted) words.push("muted");
    if (!this.#cameraOn) words.push("picture hidden");
    return words.join(" · ");
  }
}
