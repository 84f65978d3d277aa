// Small helpers for elements.

export const byId = (id) => document.getElementById(id);

/** An element with properties and children: make("button", {type: "button"}, "Yes"). "aria-…" and "data-…" are attributes. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Show `text`, or hide the element where there is none. Nothing changes where it says that already. */
export function tell(element, text) {
  if (element.textContent !== (text ?? "")) element.textContent = text ?? "";
  element.hidden = !text;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Files that are chosen in `input`, or fall anywhere onto `area`, go to `take`; `box` lights up under them. */
export function takeFiles({ input, area, box }, take) {
  input.onchange = () => {
    take(input.files);
    input.value = "";
  };
  for (const kind of ["dragenter", "dragover"]) {
    area.addEventListener(kind, (event) => {
      event.preventDefault();
      box.classList.add("over");
    });
  }
  area.addEventListener("dragleave", (event) => event.relatedTarget === null && box.classList.remove("over"));
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    box.classList.remove("over");
    take(event.dataTransfer.files);
  });
}

/** An icon of strokes in a 24 × 24 box. */
export function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

/** Ask in a dialog; `act(text)` does it, and what it throws is shown. Resolves to whether it was done. */
export function ask({ title, text, yes, input, label = "New name", danger = false }, act) {
  const dialog = byId("ask");
  setText(byId("ask-title"), title);
  tell(byId("ask-text"), text);
  tell(byId("ask-problem"), "");
  const field = byId("ask-input");
  byId("ask-label").hidden = input === undefined;
  setText(byId("ask-label-text"), label);
  field.value = input ?? "";
  const button = byId("ask-yes");
  setText(button, yes);
  button.classList.toggle("danger", danger);
  button.classList.toggle("primary", !danger);
  return new Promise((resolve) => {
    const form = byId("ask-form");
    const end = (done) => {
      form.onsubmit = byId("ask-no").onclick = dialog.oncancel = null;
      dialog.close();
      resolve(done);
    };
    form.onsubmit = async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        await act(field.value.trim());
        end(true);
      } catch (error) {
        tell(byId("ask-problem"), error.message);
      } finally {
        button.disabled = false;
      }
    };
    byId("ask-no").onclick = () => end(false);
    dialog.oncancel = (event) => {
      event.preventDefault();
      end(false);
    };
    dialog.showModal();
    (input === undefined ? byId("ask-no") : field).focus();
    if (input !== undefined) field.select();
  });
}

/** The steps in `list`, of which `done(index)` are over and the one at `at` is on. */
export function showSteps(list, names, at, done) {
  const steps = names.map((name, index) => {
    const item = make("li", { className: done(index) ? "taken" : "" }, name);
    if (index === at) item.setAttribute("aria-current", "step");
    return item;
  });
  list.replaceChildren(...steps);
}

/** Why the browser gives no webcam or microphone, and what to do. `what`: "webcam" or "microphone". */
export function whyNoMedia(error, what) {
  if (!navigator.mediaDevices) return `This page may not use the ${what}: open it by https or on this computer.`;
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return `The browser was told not to give the ${what}. Allow it at the left of the address bar, then try again.`;
    case "NotFoundError":
    case "OverconstrainedError":
      return `No ${what} was found. Plug one in, then try again.`;
    case "NotReadableError":
    case "AbortError":
      return `The ${what} is used by another program or tab. Close that, then try again.`;
    default:
      return `The ${what} cannot be used: ${error.message}`;
  }
}
