"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const AXES = { prompt: "Prompt", mesh: "Mesh", seed: "Seed" };

  function viewer(run, alt) {
    const made = document.createElement("model-viewer");
    const attributes = {
      alt, src: "data:model/gltf-binary;base64," + at("model-" + run.key).textContent, "camera-controls": "",
      loading: "eager", "interaction-prompt": "none", "camera-orbit": "20deg 72deg auto", "shadow-intensity": "0.6",
    };
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  // What a person does to one viewer is done to the others; what the page does to them is not passed on again.
  function together(viewers) {
    for (const one of viewers) {
      one.addEventListener("camera-change", (event) => {
        if (event.detail.source !== "user-interaction") return;
        for (const other of viewers) {
          if (other === one) continue;
          other.cameraOrbit = one.getCameraOrbit().toString();
          other.cameraTarget = one.getCameraTarget().toString();
          other.fieldOfView = one.getFieldOfView() + "deg";
          other.jumpCameraToGoal();
        }
      });
    }
  }

  function element(tag, text, className) {
    const made = document.createElement(tag);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  // Side by side: a column a method.
  const values = (axis) => [...new Set(data.runs.map((run) => String(run[axis])))];
  const shown = {};
  for (const [axis, name] of Object.entries(AXES)) {
    shown[axis] = values(axis)[0];
    const label = element("label", name + ": ");
    const select = document.createElement("select");
    select.name = axis;
    for (const value of values(axis)) select.append(new Option(value, value));
    select.addEventListener("change", () => { shown[axis] = select.value; drawSide(); });
    label.append(select);
    label.hidden = values(axis).length < 2;
    at("axes").append(label);
  }

  function column(run) {
    const figure = document.createElement("figure");
    figure.append(viewer(run, run.method));
    const caption = document.createElement("figcaption");
    const scores = Object.entries(run.scores).map(([name, value]) => name + " " + value).join(", ");
    caption.append(element("b", run.method), element("span", [scores, run.facts].filter(Boolean).join("; ")));
    caption.append(element("div", run.settings, "quiet"));
    figure.append(caption);
    for (const [name, alt] of [["preview", "six views"], ["gradient", "gradients of the last step"]]) {
      if (!run[name]) continue;
      const image = new Image();
      image.src = run[name];
      image.className = name;
      image.alt = run.method + ", " + alt;
      figure.append(image);
    }
    return figure;
  }

  function drawSide() {
    const runs = data.runs.filter((run) => Object.keys(AXES).every((axis) => String(run[axis]) === shown[axis]));
    at("columns").replaceChildren(...runs.map(column));
    if (!runs.length) at("columns").append(element("p", "Not run yet."));
    together([...at("columns").querySelectorAll("model-viewer")]);
  }

  // Blind: every pair of methods on every case, in an order and on sides that chance decides.
  const shuffled = (list) => {
    const made = [...list];
    for (let i = made.length - 1; i > 0; i--) {
      const j = Math.floor(Math.random() * (i + 1));
      [made[i], made[j]] = [made[j], made[i]];
    }
    return made;
  };
  const KEY = "pgc-votes " + JSON.stringify(data.methods) + data.runs.map((run) => run.key).join("");

  function questions() {
    const pairs = [];
    data.runs.forEach((one, i) => data.runs.slice(i + 1).forEach((other) => {
      if (one.method !== other.method && Object.keys(AXES).every((axis) => one[axis] === other[axis])) {
        pairs.push(shuffled([data.runs.indexOf(one), data.runs.indexOf(other)]));
      }
    }));
    return shuffled(pairs);
  }

  const anew = () => ({ voter: [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16)
    .padStart(2, "0")).join(""), order: questions(), choices: [] });

  // A page from file:// may be denied storage; the votes then live as long as the page.
  function stored() {
    try {
      const text = localStorage.getItem(KEY);
      return text ? JSON.parse(text) : anew();
    } catch { return anew(); }
  }
  function store() {
    try { localStorage.setItem(KEY, JSON.stringify(ballot)); } catch { /* see above */ }
  }
  let ballot = stored();

  function drawBlind() {
    const question = ballot.order[ballot.choices.length];
    at("progress").textContent = `${ballot.choices.length} of ${ballot.order.length} chosen.`;
    at("back").disabled = at("save").disabled = ballot.choices.length === 0;
    for (const button of document.querySelectorAll("[data-choice]")) button.disabled = !question;
    at("left").replaceChildren();
    at("right").replaceChildren();
    if (!question) {
      at("asked").textContent = "…";
      at("left").append(element("p", ballot.order.length ? "Thank you. Save your votes." : "There are no two to compare."));
      return;
    }
    const [left, right] = question.map((index) => data.runs[index]);
    at("asked").textContent = left.prompt;
    at("left").append(viewer(left, "the left one"));
    at("right").append(viewer(right, "the right one"));
    together([...at("blind").querySelectorAll("model-viewer")]);
  }

  function choose(choice) {
    if (ballot.choices.length >= ballot.order.length) return;
    ballot.choices.push(choice);
    store();
    drawBlind();
  }

  function votesFile() {
    const votes = ballot.choices.map((choice, i) => {
      const [left, right] = ballot.order[i].map((index) => data.runs[index]);
      return { prompt: left.prompt, mesh: left.mesh, seed: left.seed, left: left.method, right: right.method, choice };
    });
    return JSON.stringify({ format: data.format, voter: ballot.voter, methods: data.methods, votes }, null, 1);
  }

  for (const button of document.querySelectorAll("[data-choice]")) {
    button.addEventListener("click", () => choose(button.dataset.choice));
  }
  document.addEventListener("keydown", (event) => {
    const choice = { 1: "left", 2: "tie", 3: "right" }[event.key];
    if (choice && !at("blind").hidden && !event.repeat) choose(choice);
  });
  at("back").addEventListener("click", () => { ballot.choices.pop(); store(); drawBlind(); });
  at("forget").addEventListener("click", () => { ballot = anew(); store(); drawBlind(); });
  at("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([votesFile()], { type: "application/json" }));
    link.download = `votes-${ballot.voter}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });

  // Scores.
  const names = [...new Set(data.means.flatMap((row) => Object.keys(row)))];
  const line = (tag, cells) => {
    const row = document.createElement("tr");
    row.append(...cells.map((cell) => element(tag, cell ?? "")));
    return row;
  };
  at("means").append(line("th", names), ...data.means.map((row) => line("td", names.map((name) => row[name]))));

  function show(name) {
    for (const section of document.querySelectorAll("section")) section.hidden = section.id !== name;
    for (const button of document.querySelectorAll("[data-show]")) {
      button.setAttribute("aria-pressed", String(button.dataset.show === name));
    }
    // Viewers that nobody looks at cost memory and, in the other part, would give the methods' names away.
    at("columns").replaceChildren();
    at("left").replaceChildren();
    at("right").replaceChildren();
    if (name === "side") drawSide();
    if (name === "blind") drawBlind();
  }
  for (const button of document.querySelectorAll("[data-show]")) {
    button.addEventListener("click", () => show(button.dataset.show));
  }
  const parts = ["side", "blind", "table"];
  const wanted = location.hash.slice(1);
  show(parts.includes(wanted) ? wanted : "side");
})();
