// What this person lets the others have: sound and picture, each by a button.

import { byId, tell } from "./dom.js";

export class OwnState {
  #send;
  #changed;
  #state = { muted: false, camera_on: true, showing: "nothing" };

  /** send(state): tells the others, and resolves to what it is from then on. changed(): it is another one. */
  constructor(send, changed) {
    this.#send = send;
    this.#changed = changed;
    byId("mute").onclick = () => this.#change({ muted: !this.#state.muted });
    byId("camera-off").onclick = () => this.#change({ camera_on: !this.#state.camera_on });
  }

  /** {muted, camera_on, showing} */
  get now() {
    return this.#state;
  }

  take({ muted, camera_on, showing = this.#state.showing }) {
    this.#state = { muted, camera_on, showing };
    byId("mute").setAttribute("aria-pressed", String(muted));
    byId("camera-off").setAttribute("aria-pressed", String(!camera_on));
    this.#changed();
  }

  async #change(wanted) {
    try {
      this.take(await this.#send({ ...this.#state, ...wanted }));
    } catch (error) {
      tell(byId("call-problem"), error.message);
    }
  }
}
