// How the picture looks: background, framing, and how much of one's motion it shows. All of it changes at once.

import "./backgrounds.js";
import { choices, watchChoices } from "./choices.js";
import { byId, make, setText } from "./dom.js";
import { label, prepareLabel, showLabel } from "./label.js";
import { change, forget, live, reached, running, value, watch } from "./run.js";
import { tile } from "./tile.js";

const REGIONS = { mouth: "Mouth", eyes: "Eyes", brows: "Brows", head: "Head" };
const FRAMINGS = { "512x512": "Square", "640x480": "4 : 3", "1280x720": "Wide", "1920x1080": "Full HD" };
const FRAME_HEIGHT = 26; // of the little frames, in pixels

function showFramings() {
  const sizes = [...choices.sizes, value("size")].filter((size, at, all) => size && all.indexOf(size) === at);
  const box = byId("framings");
  if (box.children.length !== sizes.length) {
    const one = (size) => {
      const [width, height] = size.split("x");
      const frame = make("span", { className: "frame" });
      frame.style.width = `${Math.round((FRAME_HEIGHT * width) / height)}px`;
      return tile({ group: "framing", value: size, name: FRAMINGS[size] ?? size, title: `${width} × ${height}`, picture: frame }, (chosen) => change({ size: chosen }));
    };
    box.replaceChildren(...sizes.map(one));
  }
  for (const radio of box.querySelectorAll("input")) radio.checked = radio.value === value("size");
}

function show() {
  showFramings();
  for (const id of ["mirror", "follow"]) byId(id).setAttribute("aria-checked", String(Boolean(value(id))));
  byId("expression").value = value("expression");
  byId("remember").checked = Boolean(value("remember"));
  if (live.controls?.label) showLabel(live.controls.label);
  const gains = value("gains");
  for (const region of Object.keys(REGIONS)) {
    const slider = byId(`gain-${region}`);
    if (gains && document.activeElement !== slider) slider.value = gains[region];
    setText(byId(`gain-${region}-shown`), percent(slider.value));
    slider.disabled = !running();
  }
  byId("gains-reset").disabled = !running();
  for (const fieldset of document.querySelectorAll(".needs-visavis")) fieldset.disabled = !reached;
}

const percent = (gain) => `${Math.round(gain * 100)} %`;

for (const id of ["mirror", "follow"]) byId(id).onclick = () => change({ [id]: !value(id) });
byId("expression").onchange = ({ target }) => change({ expression: target.value });
byId("remember").onchange = ({ target }) => (target.checked ? change({ remember: true }) : forgetFaces());
prepareLabel(() => running() && change({ label: label() }));

async function forgetFaces() {
  await forget();
  if (live.state === "off") change({ remember: false });
}

for (const [region, name] of Object.entries(REGIONS)) {
  const slider = make("input", { type: "range", min: 0, max: 2, step: 0.1, value: 1, id: `gain-${region}` });
  const shown = make("output", { id: `gain-${region}-shown` }, percent(1));
  slider.oninput = () => setText(shown, percent(slider.value));
  slider.onchange = () => change({ gains: { ...value("gains"), [region]: Number(slider.value) } });
  byId("gains").append(make("label", {}, `${name} `, shown, slider));
}
byId("gains-reset").onclick = () => change({ gains: Object.fromEntries(Object.keys(REGIONS).map((region) => [region, 1])) });
watch(show);
watchChoices(show);
