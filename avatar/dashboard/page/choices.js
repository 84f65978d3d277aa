// What can be chosen on this computer: visavis looks at the devices anew whenever it is asked.

import { request } from "./server.js";

/** The newest answer of visavis. */
export let choices = { cameras: [], engines: [], sizes: [], virtual_camera: { name: "", problem: null }, picture: false, recordings: "", cut_off: [] };
const watchers = [];

/** act() is called whenever visavis has looked. */
export const watchChoices = (act) => watchers.push(act);

export async function loadChoices() {
  try {
    choices = await request("GET", "/api/dashboard/choices");
  } catch {
    return; // that visavis is away, the stage says
  }
  for (const act of watchers) act();
}
